"""The vector pass: which nodes could take a pod, by what each container needs on its own.

A bound, never an answer: a node left out cannot fit; one left in is tried by the exact path before it is named. It is
tight for the common pod (one container, no NUMA binding, no partitions), so the first node tried nearly always fits.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from hami_core.fit.columns import Block, BoolArray
from hami_core.fit.plan import MAX_CORE_REQUEST, Ask, Plan
from hami_core.fit.state import State
from hami_core.fit.walk import type_accepted
from hami_core.model import Device, DeviceRequest, Selector
from hami_core.score.policy import IntArray


def possible(plan: Plan, state: State) -> BoolArray:
    """Rows of the totals whose nodes are not ruled out."""
    rows: BoolArray = state.totals.ranks >= 0
    if plan.unknown is not None:
        return np.zeros_like(rows)
    for loaded in plan.families:
        name = loaded.family.name
        asks = _different(ask for ask in plan.asks if ask.request.family == name)
        rows &= _family_rows(name, asks, state)
    return rows


def _family_rows(family: str, asks: list[Ask], state: State) -> BoolArray:
    rows = np.zeros(state.totals.capacity, dtype=np.bool_)
    accepted = accepted_kinds(asks[0].selector, family, state)
    for block in state.blocks.get(family, {}).values():
        used = slice(None, block.size)
        cards = block.usable[:, used]
        if accepted is not None:
            cards = cards & accepted[block.kinds[:, used]]
        fits = np.ones(block.size, dtype=np.bool_)
        for ask in asks:
            fits &= _enough(block, ask, cards & _room_on(block, ask))
        rows[block.rows[used]] = fits
    allowed = asks[0].selector.allow_uuids
    if allowed:
        rows &= state.rows_of([name for uuid in allowed for name in state.homes.get((family, uuid), ())])
    return rows


def sure_cards(ask: Ask, state: State) -> IntArray:
    """By row of the totals, how many cards certainly can serve `ask`, the pod's only one; 0 where none is certain."""
    sure = np.zeros(state.totals.capacity, dtype=np.int64)
    fit, selector, family = ask.loaded.fit, ask.selector, ask.loaded.family
    by_code = fit.rules or (fit.effective_cores is not None and ask.core_units)
    by_card = selector.numa_bind or selector.allow_uuids or selector.deny_uuids or family.cards_per_pod is not None
    if by_code or by_card or ask.room is not None:
        return sure
    accepted = accepted_kinds(selector, family.name, state)
    for block in state.blocks.get(family.name, {}).values():
        used = slice(None, block.size)
        cards = block.usable[:, used] & ~block.partitioned[:, used] & _room_on(block, ask)
        if accepted is not None:
            cards &= accepted[block.kinds[:, used]]
        if fit.effective_cores is not None:  # whatever it says: a card with no core taken has one for who asks for none
            cards &= block.cores_free[:, used] == block.core_units[:, used]
        sure[block.rows[used]] = cards.sum(axis=0)
    return sure


def _room_on(block: Block, ask: Ask) -> BoolArray:
    """Cards with a free slot, memory and cores for one of what `ask` wants."""
    used = slice(None, block.size)
    slots_free = block.slots_free[:, used]
    fits: BoolArray = slots_free == block.slots[:, used] if ask.order.exclusive else slots_free > 0
    if ask.order.exclusive:
        fits &= slots_free > 0
    need = needed_mib(block, ask)
    fits &= block.memory_free[:, used] >= need
    if ask.loaded.fit.effective_cores is None:
        fits &= _cores_on(block, ask.core_units)
    return fits & _within_quota(ask, need) if ask.room else fits


def needed_mib(block: Block, ask: Ask) -> IntArray | int:
    """MiB that `ask` takes of each card, or of any."""
    if ask.request.memory_mib is not None:
        return ask.request.memory_mib
    assert ask.request.memory_percent is not None
    mib: IntArray = block.memory_mib[:, : block.size] * ask.request.memory_percent // 100
    return mib


def _cores_on(block: Block, core_units: int) -> BoolArray:
    used = slice(None, block.size)
    free, total = block.cores_free[:, used], block.core_units[:, used]
    if core_units == 0:
        open_ended: BoolArray = (free > 0) | ((free == 0) & (total == 0))
        return open_ended
    fits: BoolArray = free >= core_units
    if core_units == MAX_CORE_REQUEST:
        fits &= (total != MAX_CORE_REQUEST) | (block.slots_free[:, used] == block.slots[:, used])
    return fits


def _within_quota(ask: Ask, need: IntArray | int) -> BoolArray:
    """Whether the quota has room for what `ask` wants; of a percentage only one card's worth is certain."""
    room, count = ask.room, ask.request.count
    assert room is not None
    least = np.asarray(need) * (1 if isinstance(need, np.ndarray) else count)
    within: BoolArray = np.less_equal(least, np.inf if room.memory_mib is None else room.memory_mib)
    if room.core_units is not None and ask.core_units * count > room.core_units:
        within = np.zeros_like(within)
    return within


def _enough(block: Block, ask: Ask, fits: BoolArray) -> BoolArray:
    """Nodes with as many fitting cards as `ask` wants; a partitioned card may serve it several times."""
    count = ask.request.count
    if count == 1:
        some: BoolArray = np.logical_or.reduce(fits, axis=0)
        return some
    partitioned = block.partitioned[:, : block.size]
    if partitioned.any():
        times = np.where(partitioned, np.minimum(block.slots_free[:, : block.size], count), 1)
        served: IntArray = (fits * times).sum(axis=0)
    else:
        # Summing bools into bytes is several times faster than into words; a node with more cards than that is rare.
        served = fits.sum(axis=0, dtype=np.uint8 if block.width <= np.iinfo(np.uint8).max else np.int64)
    return served >= count


def accepted_kinds(selector: Selector, family: str, state: State) -> BoolArray | None:
    """Per kind of card (model and mode) whether the pod accepts it; None where it accepts all."""
    if not selector.allow_types and not selector.deny_types and selector.mode is None:
        return None
    samples = (Device(uuid="any", family=family, model=model, mode=mode, memory_mib=0) for model, mode in state.kinds)
    return np.array([type_accepted(sample, selector) for sample in samples], dtype=np.bool_)


def _different(asks: Iterable[Ask]) -> list[Ask]:
    """Asks that differ in what they want: a pod of many equal containers costs one pass."""
    seen: dict[DeviceRequest, Ask] = {}
    for ask in asks:
        seen.setdefault(ask.request, ask)
    return list(seen.values())
