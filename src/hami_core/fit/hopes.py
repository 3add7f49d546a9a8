"""What vendors could add to each node's score, before any node is tried: how far the search must look."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

import attrs
import numpy as np

from hami_core.behaviour import BoundedScorer
from hami_core.fit.mask import sure_cards
from hami_core.fit.plan import Plan
from hami_core.fit.state import State
from hami_core.model import Device, PodRequest
from hami_core.score.policy import FloatArray, IntArray

if TYPE_CHECKING:
    from hami_core.registry import LoadedFamily


_MOST_CHOICE = 64
"""More cards to choose from than this count as this many."""


@attrs.define
class _Layouts:
    """The layouts of one family's nodes, by number, and which node has which; true as of `clock`."""

    capacity: int
    clock: int = -1
    numbers: dict[Hashable, int] = attrs.field(factory=dict)
    of_row: IntArray = attrs.field(init=False)
    devices: dict[int, tuple[Device, ...]] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.of_row = np.zeros(self.capacity, dtype=np.int64)

    def refresh(self, family: str, scorer: BoundedScorer, state: State) -> None:
        for row in state.totals.changed_since(self.clock).tolist():
            devices = state.devices(row, family)
            if self.devices.get(row) is not devices:  # pods come and go far more often than cards do
                self.devices[row] = devices
                self.of_row[row] = self.numbers.setdefault(scorer.layout(devices), len(self.numbers))
        self.clock = state.totals.clock


class Hopes:
    """The bounds of what vendors add, by row of the totals; layouts are kept for the next request."""

    def __init__(self) -> None:
        self._layouts: dict[str, _Layouts] = {}

    def of(self, plan: Plan, state: State, *, tight: bool = True) -> FloatArray:
        """The most that vendors could add to each node's score, or the least where low scores are preferred.

        Tight bounds cost a vector pass over the cards; where few nodes are asked about, trying them is cheaper.
        """
        hopes = np.zeros(state.totals.capacity, dtype=np.float32)
        for loaded in plan.families:
            hopes += self._of_family(loaded, plan, state, tight=tight)
        return hopes

    def _of_family(self, loaded: LoadedFamily, plan: Plan, state: State, *, tight: bool) -> FloatArray | np.float32:
        scorer, lowest = loaded.fit.node_scorer, plan.node_policy.take == "lowest"
        if scorer is None:
            return np.float32(0)
        if not isinstance(scorer, BoundedScorer):
            asks = sum(ask.loaded is loaded for ask in plan.asks)
            return np.float32(0 if lowest else scorer.ceiling * asks)
        try:
            layouts = self._refreshed(loaded.family.name, scorer, state)
            # With one request the cards that are free now are those to choose from; with more, earlier ones take some.
            choice = sure_cards(plan.asks[0], state) if tight and lowest and len(plan.asks) == 1 else 0
            kinds, which = np.unique(
                layouts.of_row * _MOST_CHOICE + np.minimum(choice, _MOST_CHOICE - 1), return_inverse=True
            )
            numbers = list(layouts.numbers)
            bounds = [
                _bound(scorer, numbers[kind // _MOST_CHOICE], plan.pod, kind % _MOST_CHOICE, lowest=lowest)
                for kind in kinds.tolist()
            ]
        except Exception:  # noqa: BLE001 - a vendor's bound failed: then every node is tried before it is passed over
            self._layouts.pop(loaded.family.name, None)
            return np.float32(-np.inf if lowest else np.inf)
        return np.array(bounds, dtype=np.float32)[which]

    def _refreshed(self, family: str, scorer: BoundedScorer, state: State) -> _Layouts:
        layouts = self._layouts.get(family)
        if layouts is None or layouts.capacity != state.totals.capacity or len(layouts.numbers) > layouts.capacity:
            layouts = self._layouts[family] = _Layouts(state.totals.capacity)
        layouts.refresh(family, scorer, state)
        return layouts


def _bound(scorer: BoundedScorer, layout: Hashable, pod: PodRequest, choice: int, *, lowest: bool) -> float:
    least, most = scorer.bounds(layout, pod, choice)
    return least if lowest else most
