"""The last verdict per pod, kept for a while: for people who ask after the events are gone."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import attrs

from hami_core.model import PodRequest
from hami_core.verdict import Rejected, Verdict

_PODS = 5000
DETAILED_NODES = 50
"""Nodes, first by name, of which the reason of each card is kept."""
_NAMES = 5


@attrs.frozen(slots=True)
class Answer:
    """A verdict and its text, made once: thousands of texts take longer than a filter may wait."""

    verdict: Verdict
    text: str


@attrs.frozen(kw_only=True)
class Explanation:
    """What was last decided about a pod. `nodes` holds lines for some of the nodes, `tally` counts all of them."""

    pod: str
    decision: str
    outcome: str  # reserved, bound, rejected, failed; of a pod that this process has not decided: waiting
    message: str
    when: str
    request: PodRequest | None = attrs.field(default=None, repr=False)
    node: str | None = None
    tally: Mapping[str, int] = attrs.field(factory=dict, hash=False)
    nodes: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict, hash=False)
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The explanation as JSON data."""
        return {
            "pod": self.pod,
            "decision": self.decision,
            "outcome": self.outcome,
            "message": self.message,
            "when": self.when,
            "node": self.node,
            "tally": dict(self.tally),
            "nodes": {name: list(lines) for name, lines in self.nodes.items()},
            "notes": list(self.notes),
        }


class Explanations:
    """A bounded memory: the pods that were decided last."""

    def __init__(self, *, most: int = _PODS) -> None:
        self._most = most
        self._kept: OrderedDict[str, Explanation] = OrderedDict()

    def keep(self, explanation: Explanation) -> None:
        """Remember, in place of what was known of that pod."""
        self._kept[explanation.pod] = explanation
        self._kept.move_to_end(explanation.pod)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def of(self, pod: str) -> Explanation | None:
        """What was last decided about ``namespace/name``."""
        return self._kept.get(pod)


def now_text() -> str:
    """The time of a decision, for people."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def tally_of(texts: Mapping[str, str]) -> dict[str, int]:
    """How many nodes got which answer, the most frequent first."""
    counts = Counter(texts.values())
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))


def lines_of(answers: Mapping[str, Answer]) -> dict[str, tuple[str, ...]]:
    """For the first nodes, why they cannot take the pod: the short text, then a line a card."""
    lines: dict[str, tuple[str, ...]] = {}
    for name in sorted(answers)[:DETAILED_NODES]:
        verdict = answers[name].verdict
        details: tuple[str, ...] = ()
        if isinstance(verdict, Rejected):
            details = tuple(reason.detail or f"{reason.uuid}: {reason.reason}" for reason in verdict.devices)
        lines[name] = (answers[name].text, *details)
    return lines


def summary(texts: Mapping[str, str]) -> str:
    """One line: ``no available node, 3 nodes do not meet: 2 nodes 1/1 CardInsufficientMemory(a,b), ...``."""
    names: dict[str, list[str]] = {}
    for name in sorted(texts):
        names.setdefault(texts[name], []).append(name)
    parts = []
    for text, listed in sorted(names.items(), key=lambda entry: (-len(entry[1]), entry[0])):
        more = ",..." if len(listed) > _NAMES else ""
        parts.append(f"{len(listed)} nodes {text}({','.join(listed[:_NAMES])}{more})")
    head = f"no available node, {len(texts)} nodes do not meet"
    return f"{head}: {'; '.join(parts)}" if parts else "no available node: there is no candidate"
