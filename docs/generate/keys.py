"""Every annotation and label, from the constants and families that use them. One without a text here fails the test."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import attrs

from hami_core.family import Family
from hami_core.registry import load_registry

ROOT = Path(__file__).parents[2]

_POD_WRITTEN_BY_PEOPLE = {
    "hami.io/node-scheduler-policy": "Order of nodes for this pod: `binpack`, `spread`, or a plugin's policy.",
    "hami.io/gpu-scheduler-policy": "Order of cards on a node: `binpack`, `spread`, `numa`, `mutex`, `topology-aware`, "
    "or a plugin's; several with commas.",
    "hami.io/device-scoring-weights": "`slot=1,core=2,memory=0`: what counts how much in the order of cards.",
    "hami.io/isolation": "`on`: hold also a container that has a whole card; `off`: go without the library, where the "
    "node agent runs with `--allow-isolation-opt-out`.",
    "hami.io/resize": "JSON: what the shares of a container shall be from now on; `hami resize pod` writes it.",
    "hami.io/webhook": "Label: `ignore` keeps the webhook away from this pod.",
    "huawei.com/vnpu-mode": "Ascend: how the card is shared, `hami-core` for soft sharing.",
    "nvidia.com/vgpu-mode": "NVIDIA: `hami-core` or `mig`: take only cards that are shared in this way.",
}
_POD_WRITTEN_BY_US = {
    "hami.io/vgpu-node": "The node that was chosen.",
    "hami.io/vgpu-time": "When, in unix seconds.",
    "hami.io/bind-phase": "`allocating`, `success` or `failed`.",
    "hami.io/bind-time": "When the bind began, in unix seconds.",
    "hami.io/vgpu-mig-allocations": "Which MIG instance each share has reserved or got, as JSON.",
    "hami.io/resize-status": "JSON: what the scheduler made of the wish in `hami.io/resize`.",
    "hami.io/resize-applied": "JSON: that the node has set the limits of that wish, and what is to be said of it.",
    "hami.io/retry": "Touched to have kube-scheduler look at a pending pod again when capacity was freed.",
    "mthreads.com/gpu-index": "Moore Threads: index of the card, for its own device plugin.",
    "mthreads.com/predicate-node": "Moore Threads: the node, for its own device plugin.",
    "mthreads.com/predicate-time": "Moore Threads: when the node was chosen.",
    "mthreads.com/request-gpu-num": "Moore Threads: how many cards the pod asked for.",
}
_NODE = {
    "hami.io/device-cordon": "UUIDs of cards, with commas, that get no new shares.",
    "hami.io/mutex.lock": "The node lock: time, namespace and name of the pod that holds it.",
    "cambricon.com/dsmlu.lock": "The same lock of Cambricon's device plugin.",
    "hami.io/binding": "`late`: the node agent knows each container at its start, so that no lock is taken.",
    "hami.io/node-nvidia-score": "How well each pair of cards is connected.",
}
_OTHER = {
    "hami.io/scheduler-role": "Label of our scheduler's pods: `leader` on the one that decides.",
    "hami.io/pod-uid": "In CDI specs: whose devices these are.",
    "hami.io/share": "The CDI kind of shares.",
}
_SELECTORS = {
    "allow_types": "Only cards whose model contains one of these words (commas between).",
    "deny_types": "No cards whose model contains one of these words.",
    "allow_uuids": "Only these cards, by UUID.",
    "deny_uuids": "None of these cards.",
    "numa_bind": "`true`: all cards of a container from one NUMA node.",
    "mode": "Only cards that are shared in this way.",
}
# Examples in texts, and prefixes of the families' keys, which the tables below have in full.
_NO_KEYS = {"hami.io/fit", "hami.io/use-", "hami.io/no-use-", "hami.io/node-", "hami.io/"}
_LITERAL = re.compile(r'"((?:hami\.io|[a-z]+\.(?:com|ai))/[a-z][A-Za-z0-9./-]*)"')

_HEAD = """# Annotations and labels

Names and forms are HAMi 2.10's, so that its components and ours read each other. A malformed value takes the card or
the node that carries it out of the choice, with the reason; the rest goes on.
"""


def page() -> str:
    """The page. Raises LookupError for a key that nobody has described."""
    if unknown := sorted(set(_in_sources()) - _described()):
        raise LookupError(f"say in docs/generate/keys.py what these are for: {', '.join(unknown)}")
    return _HEAD + "".join(
        (
            _table("On pods, written by people", _POD_WRITTEN_BY_PEOPLE),
            _selectors(),
            _table(
                "On pods, written by the scheduler and the node agent",
                _POD_WRITTEN_BY_US,
                "People who write these are refused at the webhook.",
            ),
            _table("On nodes", _NODE),
            _keys(),
            _table("Elsewhere", _OTHER),
        )
    )


def _described() -> set[str]:
    tables = (_POD_WRITTEN_BY_PEOPLE, _POD_WRITTEN_BY_US, _NODE, _OTHER)
    described = {key for table in tables for key in table}
    for family in _families():
        described |= {value for value in attrs.astuple(family.wire, recurse=False) if isinstance(value, str)}
        described |= {value for value in attrs.astuple(family.selectors) if value}
        described |= set(family.resources.names)
    return described


def _in_sources() -> Iterator[str]:
    for file in (ROOT / "src").rglob("*.py"):
        if "testing" not in file.parts and not file.name.endswith(("_pb2.py", "_pb2_grpc.py")):
            found = _LITERAL.findall(file.read_text(encoding="utf-8"))
            yield from (key for key in found if key not in _NO_KEYS)


def _table(title: str, table: dict[str, str], says: str = "") -> str:
    intro = f"{says}\n\n" if says else ""
    rows = "".join(f"| `{key}` | {text} |\n" for key, text in table.items())
    return f"\n## {title}\n\n{intro}| Key | Says |\n|---|---|\n{rows}"


def _selectors() -> str:
    rows = "".join(
        f"| `{key}` | {family.name} | {_SELECTORS[name]} |\n"
        for family in _families()
        for name, key in attrs.asdict(family.selectors).items()
        if key and key not in _POD_WRITTEN_BY_PEOPLE
    )
    return f"\n### Which cards\n\n| Key | Family | Says |\n|---|---|---|\n{rows}"


def _keys() -> str:
    rows = "".join(
        f"| {family.name} | {_code(family.wire.register)} | {_code(family.wire.handshake)} | "
        f"{_code(family.wire.to_allocate)} | {_code(family.wire.allocated)} |\n"
        for family in _families()
    )
    return (
        "\n## Devices, by family\n\nOn the node: the cards it has (register) and whether their agent lives "
        "(handshake). On the pod: what is still\nto be handed to containers, and all that was given.\n\n"
        f"| Family | Register | Handshake | To allocate | Allocated |\n|---|---|---|---|---|\n{rows}"
    )


def _code(key: str | None) -> str:
    return f"`{key}`" if key else ""


def _families() -> Iterator[Family]:
    for loaded in load_registry().families.values():
        yield loaded.family
