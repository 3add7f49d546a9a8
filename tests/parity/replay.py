"""Replays the recorded clusters and lists every point where our decision is not HAMi's.

`data/scenarios.jsonl` holds one cluster a line: nodes, a sequence of pods, and what HAMi 2.10 decided for each under
`data/device-config.yaml`. After each pod the recorded node and annotations are what the next one finds, so a difference
never travels.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

import hami_ascend
import hami_core.score.builtin
import hami_dcu
import hami_iluvatar
import hami_mlu
import hami_mthreads
import hami_nvidia
from hami_core import decide
from hami_core.fit import Fleet
from hami_core.inventory import read_holding, read_inventory
from hami_core.model import Device, PodRequest
from hami_core.objects import read_node, read_pod
from hami_core.placement import placement_annotations
from hami_core.registry import Registry, load_registry
from hami_core.requests import pod_request
from hami_core.verdict import Fits
from hami_core.whatif import Decision
from hami_core.wire.device_config import ConfigSections

DATA = Path(__file__).parent / "data"
VENDORS = ("ascend", "cambricon", "hygon", "iluvatar", "mthreads", "nvidia")
TIMES = frozenset({"hami.io/vgpu-time", "predicate-time", "mthreads.com/predicate-time"})
PLUGINS = (
    hami_core.score.builtin,
    hami_ascend,
    hami_dcu,
    hami_iluvatar,
    hami_mlu,
    hami_mthreads,
    hami_nvidia,
)


@attrs.frozen(kw_only=True)
class Finding:
    """One point where two decisions differ.

    `what` is admission, pod, verdict, devices, score, node or annotations, theirs being HAMi's; or fleet, theirs being
    what a fleet answers that has lived through the pods before, where ours is read from objects anew.
    """

    what: str
    node: str = ""
    theirs: Any = None
    ours: Any = None

    def __str__(self) -> str:
        at = f" on {self.node}" if self.node else ""
        return f"{self.what}{at}\n    theirs: {self.theirs}\n    ours:   {self.ours}"


@attrs.frozen(kw_only=True)
class Step:
    """One recorded pod: where it stands, what it asks for, the cards it was offered, and the differences."""

    scenario: str
    vendor: str
    pod: str
    request: PodRequest | None  # None for a pod that was refused
    cards: Mapping[str, tuple[Device, ...]]
    decision: Decision
    findings: tuple[Finding, ...]


@functools.cache
def registry() -> Registry:
    """The six vendors under the recording's configuration."""
    return load_registry(ConfigSections.load(DATA / "device-config.yaml"), PLUGINS)


@functools.cache
def steps() -> tuple[Step, ...]:
    """Every recorded step, replayed."""
    lines = (DATA / "scenarios.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(step for line in lines for step in _replay(json.loads(line)))


def _replay(scenario: Mapping[str, Any]) -> Iterator[Step]:
    nodes = scenario["nodes"]
    inventories = [read_inventory(read_node(node), registry()) for node in nodes]
    cards = {inventory.node.name: inventory.devices for inventory in inventories}
    placed: list[Mapping[str, Any]] = []
    fleet = Fleet(registry())
    for inventory in inventories:
        fleet.upsert_node(inventory.node, inventory.devices, broken=inventory.broken)
    for item, recorded in zip(scenario["pods"], scenario["expected"], strict=True):
        decision = decide([nodes, placed], item, registry=registry())
        request = pod_request(read_pod(decision.admission.pod), registry()) if decision.admitted else None
        yield Step(
            scenario=scenario["id"],
            vendor=scenario["vendor"],
            pod=recorded["pod"],
            request=request,
            cards=cards,
            decision=decision,
            findings=(
                *_compare(item, recorded, decision, request, cards),
                *_compare_fleet(fleet, decision, request),
            ),
        )
        if recorded.get("annotations"):
            placed.append({**item, "metadata": {**item["metadata"], "annotations": recorded["annotations"]}})
            holding = read_holding(read_pod(placed[-1]), registry())
            if holding is not None:
                fleet.add_pod(holding.key, holding.placement, init_done=holding.init_done, label=holding.label)


def _compare(
    item: Mapping[str, Any],
    recorded: Mapping[str, Any],
    decision: Decision,
    request: PodRequest | None,
    cards: Mapping[str, tuple[Device, ...]],
) -> Iterator[Finding]:
    if decision.admitted != recorded["admitted"]:
        yield Finding(what="admission", theirs=recorded.get("message"), ours=decision.admission.message)
        return
    if request is None:
        return
    patched = patch(item, recorded["patch"])
    if patched != decision.admission.pod:
        yield Finding(what="pod", theirs=patched, ours=decision.admission.pod)
    for node, theirs in recorded["nodes"].items():
        yield from _compare_node(node, theirs, decision)
    yield from _compare_choice(recorded, decision, request)
    fits = decision.verdicts.get(recorded["node"])
    if request.families and isinstance(fits, Fits):
        devices = {card.uuid: card for card in cards[recorded["node"]]}
        written = placement_annotations(fits.placement, request, registry(), devices, now_ns=0)
        ours = without_times({**request.annotations, **written})
        theirs = without_times(recorded["annotations"])
        if ours != theirs:
            yield Finding(what="annotations", node=recorded["node"], theirs=theirs, ours=ours)


def _compare_node(node: str, theirs: Mapping[str, Any], decision: Decision) -> Iterator[Finding]:
    ours = decision.verdicts[node]
    if not isinstance(ours, Fits) or not theirs["fits"]:
        reason = None if theirs["fits"] else theirs["reason"]
        mine = ours if isinstance(ours, Fits) else str(ours)
        if reason != mine:
            yield Finding(what="verdict", node=node, theirs=reason or theirs, ours=mine)
        return
    # HAMi lists every card model of the node, empty unless the model is the family's word.
    shares = {name: _plain(held) for name, held in theirs["devices"].items() if name in ours.placement.families}
    mine = {
        name: [
            [(share.uuid, share.memory_mib, share.core_units) for share in container]
            for container in ours.placement.shares_of(name)
        ]
        for name in ours.placement.families
    }
    if shares != mine:
        yield Finding(what="devices", node=node, theirs=shares, ours=mine)
    if abs(theirs["score"] - ours.score) > _close_to(theirs["score"]):
        yield Finding(what="score", node=node, theirs=theirs["score"], ours=ours.score)


def _compare_choice(recorded: Mapping[str, Any], decision: Decision, request: PodRequest) -> Iterator[Finding]:
    if not request.families:
        return
    scores = {node: verdict["score"] for node, verdict in recorded["nodes"].items() if verdict["fits"]}
    best = (min if request.node_policy == "spread" else max)(scores.values(), default=None)
    ours = None if decision.node is None else scores.get(decision.node)
    if (best is None) != (decision.node is None) or (
        best is not None and (ours is None or abs(ours - best) > _close_to(best))
    ):
        yield Finding(what="node", theirs=recorded["node"], ours=decision.node)


def _compare_fleet(fleet: Fleet, decision: Decision, request: PodRequest | None) -> Iterator[Finding]:
    if request is None or not request.families:
        return
    choice = fleet.decide(request)
    node = None if choice.best is None else choice.best.placement.node
    if node != decision.node:
        yield Finding(what="fleet", theirs=node, ours=decision.node)
    for name, ours in decision.verdicts.items():
        theirs = choice.verdict(name)
        if theirs != ours:
            yield Finding(what="fleet", node=name, theirs=theirs, ours=ours)


def _close_to(score: float) -> float:
    """Scores are sums of a few float32: they agree to about six digits."""
    return 1e-5 * max(1.0, abs(score))


def _plain(containers: list[list[Mapping[str, Any]]]) -> list[list[tuple[str, int, int]]]:
    return [[(share["uuid"], share["memory_mib"], share["core_percent"]) for share in shares] for shares in containers]


def without_times(annotations: Mapping[str, str]) -> dict[str, str]:
    """Annotations apart from those that hold the time of the decision."""
    return {key: value for key, value in annotations.items() if key not in TIMES}


def patch(item: Mapping[str, Any], operations: list[Mapping[str, Any]]) -> Any:
    """Apply a JSON Patch of add, replace and remove."""
    document = json.loads(json.dumps(item))
    for operation in operations:
        *path, last = (part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:])
        place = document
        for part in path:
            place = place[int(part)] if isinstance(place, list) else place[part]
        if isinstance(place, list):
            index = len(place) if last == "-" else int(last)
            place[index : index + (operation["op"] != "add")] = (
                [] if operation["op"] == "remove" else [operation["value"]]
            )
        elif operation["op"] == "remove":
            del place[last]
        else:
            place[last] = operation["value"]
    return document
