"""Finding the best node: nodes in order of what they could score at best, each tried exactly before it is believed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from hami_core.fit.columns import BoolArray
from hami_core.fit.memo import OPEN, REFUSED, Known
from hami_core.fit.plan import Plan
from hami_core.fit.state import State
from hami_core.score.policy import FloatArray
from hami_core.verdict import Fits

Judge: TypeAlias = Callable[[int], tuple[Fits, float] | None]
"""Tries a row exactly: what fits there and what vendors add to its score, or None."""


def best_node(
    plan: Plan, state: State, known: Known, *, scores: FloatArray, among: BoolArray | None, judge: Judge
) -> Fits | None:
    """The best-scored node that truly fits; equals by name. What is learnt on the way stays in `known`."""
    sign = np.float32(-1 if plan.node_policy.take == "lowest" else 1)
    while True:
        candidates = known.state != REFUSED
        if among is not None:
            candidates &= among
        rows = np.flatnonzero(candidates)
        if not len(rows):
            return None
        row = _first(rows, sign * (scores[rows] + known.added[rows]), state)
        if known.state[row] != OPEN and row in known.placements:
            return known.placements[row]
        found = judge(row)
        known.settle(row, *(found or (None,)))


def _first(rows: NDArray[np.intp], preferences: FloatArray, state: State) -> int:
    best = rows[preferences == preferences.max()]
    return int(best[state.totals.ranks[best].argmin()])
