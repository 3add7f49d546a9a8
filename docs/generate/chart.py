"""Every value of the chart, from the comments of ``values.yaml``. One without a comment fails the test.

A comment belongs to the value on its line or right below it. `_ALWAYS` says it of what means the same
wherever it stands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs
import yaml

VALUES = Path(__file__).parents[2] / "charts/hami/values.yaml"

_ALWAYS = {
    "affinity": "As in a pod.",
    "annotations": "More of them on its objects.",
    "extraArgs": "More arguments of the program.",
    "image.pullPolicy": "As in a container.",
    "image.registry": "Where the image comes from.",
    "image.repository": "Its name there.",
    "image.tag": "Its version.",
    "labels": "More of them on its objects.",
    "logFormat": "`json` for machines, `console` for people.",
    "nodeSelector": "As in a pod.",
    "podAnnotations": "More annotations on its pods.",
    "priorityClassName": "As in a pod; empty: none.",
    "resources": "CPU and memory of the container, as in a pod.",
    "service.type": "As in a Service.",
    "tolerations": "As in a pod.",
    "updateStrategy": "As in a DaemonSet.",
}
_ENTRY = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z][\w-]*):(?: (?P<rest>.*))?$")
_COMMENT = re.compile(r"(?:^|\s)# (?P<text>.*)$")

_HEAD = """# Chart values

What `helm install --set` and `--values` take, with their defaults. helm refuses values of a wrong kind and names them.
Names are HAMi's where HAMi has the value; those of HAMi's chart that this one has no use for are let through.

| Value | Default | Says |
|---|---|---|
"""


@attrs.frozen(kw_only=True)
class Value:
    """A value that people set: where, what it is without them, and what is said of it."""

    path: str
    default: object
    says: str


def page() -> str:
    """The page. Raises LookupError for a value that nobody has described."""
    return _HEAD + "".join(f"| `{value.path}` | {_default(value.default)} | {value.says} |\n" for value in values())


def values(text: str | None = None) -> Iterator[Value]:
    """Every value of a values file, by default the chart's.

    Raises:
        LookupError: one has no description.
    """
    text = VALUES.read_text(encoding="utf-8") if text is None else text
    said = _comments(text)
    for path, default in _leaves(yaml.safe_load(text), said):
        says = said.get(path) or _always(path)
        if not says:
            raise LookupError(f"{VALUES.name}: say in a comment what {path} is for")
        yield Value(path=path, default=default, says=says.replace("|", "or"))


def _leaves(held: Mapping[str, object], said: Mapping[str, str], above: str = "") -> Iterator[tuple[str, object]]:
    """Values that are set whole: those with a description, and what has no keys of its own."""
    for key, value in held.items():
        path = f"{above}{key}"
        if isinstance(value, dict) and value and not _always(path):
            yield from _leaves(value, said, f"{path}.")
        else:
            yield path, value


def _always(path: str) -> str:
    steps = path.split(".")
    return _ALWAYS.get(".".join(steps[-2:])) or _ALWAYS.get(steps[-1], "")


def _comments(text: str) -> Mapping[str, str]:
    """The comment of each key that has one, by path."""
    found: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    before: list[str] = []
    for line in text.splitlines():
        if line.strip().startswith("# "):
            before.append(line.strip().removeprefix("# "))
            continue
        entry = _ENTRY.match(line)
        if entry is None:
            before = []
            continue
        indent = len(entry["indent"])
        above = [*(step for step in above if step[0] < indent), (indent, entry["key"])]
        beside = _COMMENT.search(entry["rest"] or "")
        words = [*before, *([beside["text"]] if beside else [])]
        if words:
            found[".".join(key for _, key in above)] = " ".join(words)
        before = []
    return found


def _default(value: object) -> str:
    if isinstance(value, list) and len(value) > 1:
        return f"{len(value)} names"
    return f"`{json.dumps(value)}`"
