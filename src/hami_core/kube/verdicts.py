"""Verdicts of many nodes: what was refused once is refused again until the node changes.

A pod that fits nowhere is asked about for as long as it waits, and its siblings ask the same: working out thousands of
exact reasons each time would keep the process from its other work.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import attrs

from hami_core.fit import Choice, Fleet
from hami_core.kube.api import pause
from hami_core.kube.explanations import DETAILED_NODES, Answer
from hami_core.model import PodRequest
from hami_core.verdict import Rejected

_SHAPES = 16
_STEP = 16  # exact verdicts between two pauses: some 4 ms
_CHEAP_STEP = 512


class Verdicts:
    """Answers for a choice's candidates.

    Args:
        fleet: whose nodes they are.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._known: OrderedDict[PodRequest, dict[str, tuple[int, Answer]]] = OrderedDict()

    async def of(self, choice: Choice, names: Sequence[str]) -> dict[str, Answer]:
        """Every candidate's verdict, sorted by name. Decisions on other pods may go between two of them."""
        known = self._recall(choice.pod)
        answers: dict[str, Answer] = {}
        exact = 0
        for number, name in enumerate(sorted(names)):
            if number % _CHEAP_STEP == _CHEAP_STEP - 1:
                await pause()
            stamp = self._fleet.stamp(name)
            before = known.get(name)
            if before is not None and before[0] == stamp:
                answers[name] = before[1]
                continue
            exact += 1
            if exact % _STEP == 0:
                await pause()
                stamp = self._fleet.stamp(name)
            verdict = choice.verdict(name, details=number < DETAILED_NODES)
            answer = answers[name] = Answer(verdict, str(verdict))
            if isinstance(verdict, Rejected) and stamp is not None:
                known[name] = stamp, answer
            else:
                known.pop(name, None)
        return answers

    def _recall(self, pod: PodRequest) -> dict[str, tuple[int, Answer]]:
        """What is known of pods that ask for the same. A quota's room changes with no node: there nothing is kept."""
        if self._fleet.quota(pod.namespace)[0]:
            return {}
        shape = attrs.evolve(pod, namespace="-", name="-", uid="")
        known = self._known.setdefault(shape, {})
        self._known.move_to_end(shape)
        if len(self._known) > _SHAPES:
            self._known.popitem(last=False)
        return known
