"""Why every node refuses a plain pod, in one vector pass: the texts of thousands of nodes cost what a few would.

Plain is a pod of one request that only the common rules decide. The order of the tests is the order of the walk
(`hami_core.fit.walk`), whose answers these are; a node it cannot answer for is left to the walk.
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

from hami_core.fit.columns import Block, BoolArray
from hami_core.fit.explain import bare
from hami_core.fit.mask import accepted_kinds, needed_mib
from hami_core.fit.plan import MAX_CORE_REQUEST, Ask, Plan
from hami_core.fit.state import State
from hami_core.score.policy import IntArray
from hami_core.verdict import Reason, Rejected

_REASONS = (
    Reason.UNHEALTHY,
    Reason.TYPE_MISMATCH,
    Reason.SLOTS_EXHAUSTED,
    Reason.EXCLUSIVE,
    Reason.MEMORY,
    Reason.CORES,
    Reason.CORES_EXHAUSTED,
    Reason.TOO_FEW,  # cards that would do, where there are not enough of them
)
_FITS = len(_REASONS) - 1


def plain_ask(plan: Plan) -> Ask | None:
    """The pod's only request, where no vendor's code, quota, NUMA binding or uuid has a say in it."""
    if plan.unknown is not None or len(plan.asks) != 1:
        return None
    (ask,) = plan.asks
    fit, selector = ask.loaded.fit, ask.selector
    by_code = fit.gate or fit.rules or fit.effective_cores or (fit.chooser and fit.chooses(plan.pod, ask.request))
    by_card = selector.numa_bind or selector.allow_uuids or selector.deny_uuids
    return None if by_code or by_card or ask.room is not None else ask


class Tallies:
    """The rejections of all nodes, true as of `clock`."""

    def __init__(self, plan: Plan, ask: Ask, state: State) -> None:
        """Count why each card refuses `ask`, which is all that the plan asks for."""
        self._ask = ask
        self._container = next(step.container.name for step in plan.steps if step.asks)
        self._clock = state.totals.clock
        self._counts: IntArray = np.full((state.totals.capacity, len(_REASONS) + 1), -1, dtype=np.int64)
        self._made: dict[bytes, Rejected] = {}
        for block in state.blocks.get(ask.request.family, {}).values():
            self._count(block, accepted_kinds(ask.selector, ask.request.family, state))

    def of(self, name: str, state: State) -> Rejected | None:
        """The node's rejection without card details; None where the walk has to be asked."""
        row = state.row(name)
        if row is None or row >= len(self._counts) or state.totals.stamps[row] > self._clock:
            return None
        counts = self._counts[row]
        if counts[_FITS] < 0 or state.is_broken(name, self._ask.request.family):
            return None
        key = counts.tobytes()
        if key not in self._made:
            self._made[key] = self._rejected(counts.tolist())
        return self._made[key]

    def _count(self, block: Block, accepted: BoolArray | None) -> None:
        size = block.size
        cards = block.cards[:size]
        present: BoolArray = np.arange(block.width)[:, None] < cards
        codes = _first_reasons(block, self._ask, accepted)
        counts = np.stack([((codes == code) & present).sum(axis=0) for code in range(len(_REASONS))], axis=1)
        # A card out of service may be sick or cordoned, and a partitioned one has its own rules.
        odd = ((present & ~block.in_service[:, :size]) | block.partitioned[:, :size]).any(axis=0)
        answered = ~odd & (counts[:, _FITS] < self._ask.request.count)
        rows = block.rows[:size][answered]
        self._counts[rows, :-1] = counts[answered]
        self._counts[rows, -1] = cards[answered]

    def _rejected(self, counts: list[int]) -> Rejected:
        *by_reason, cards = counts
        if self._ask.request.count > cards:
            tally = bare(Reason.NODE_TOO_SMALL).tally
        else:
            found = {reason: number for reason, number in zip(_REASONS, by_reason, strict=True) if number}
            tally = MappingProxyType(dict(sorted(found.items())))
        return Rejected(tally=tally, total=cards, container=self._container)


def _first_reasons(block: Block, ask: Ask, accepted: BoolArray | None) -> IntArray:
    """For each card the place in `_REASONS` of the first reason that refuses it; `_FITS` where none does."""
    used = slice(None, block.size)
    slots, slots_free = block.slots[:, used], block.slots_free[:, used]
    cores, cores_free = block.core_units[:, used], block.cores_free[:, used]
    shared = slots_free < slots
    never = np.zeros_like(shared)
    tests = (
        (Reason.UNHEALTHY, block.doubts[:, used] != 0),
        (Reason.TYPE_MISMATCH, never if accepted is None else ~accepted[block.kinds[:, used]]),
        (Reason.SLOTS_EXHAUSTED, slots_free <= 0),
        (Reason.EXCLUSIVE, shared if ask.order.exclusive else never),
        (Reason.MEMORY, block.memory_free[:, used] < needed_mib(block, ask)),
        (Reason.CORES, cores_free < ask.core_units),
        (Reason.EXCLUSIVE, shared & (cores == MAX_CORE_REQUEST) if ask.core_units == MAX_CORE_REQUEST else never),
        (Reason.CORES_EXHAUSTED, (cores > 0) & (cores_free == 0) if ask.core_units == 0 else never),
    )
    codes: IntArray = np.select([test for _, test in tests], [_REASONS.index(reason) for reason, _ in tests], _FITS)
    return codes
