"""The answer to a decision: the chosen place at once, every other node's verdict when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import attrs

from hami_core.model import PodRequest
from hami_core.verdict import Fits, Verdict


@attrs.frozen(kw_only=True)
class Choice:
    """Where a pod goes. `best` is None where no candidate can take it.

    Verdicts of other nodes are worked out on demand, against the fleet as it stands then, without the pod itself: most
    callers only need one. Take them before the fleet changes, or decide on a `Fleet.snapshot()`.
    """

    pod: PodRequest
    best: Fits | None
    _candidates: Callable[[], tuple[str, ...]] = attrs.field(alias="candidates", repr=False, eq=False)
    _judge: Callable[[str, bool], Verdict] = attrs.field(alias="judge", repr=False, eq=False)

    @property
    def candidates(self) -> tuple[str, ...]:
        """Names of the nodes considered, sorted."""
        return self._candidates()

    def verdict(self, node: str, *, details: bool = True) -> Verdict:
        """The exact verdict for one node, which need not be a candidate.

        Without `details` a rejection has its tally and no `devices`: half the work, where only the text is needed.
        """
        if self.best is not None and self.best.placement.node == node:
            return self.best
        return self._judge(node, details)

    def verdicts(self, *, details: bool = True) -> Mapping[str, Verdict]:
        """The verdicts of all candidates, sorted by node name."""
        return MappingProxyType({node: self.verdict(node, details=details) for node in self.candidates})


@attrs.frozen(kw_only=True)
class Reservation:
    """A place held for a pod until it is confirmed, released, or `deadline_s` passes."""

    key: str
    best: Fits
    deadline_s: float
