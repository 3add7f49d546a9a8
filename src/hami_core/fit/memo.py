"""What is already known about a request shape, so that the next pod of a job costs almost nothing.

A shape is everything about a pod that its fit depends on, without its identity. For each one the memo keeps, per node,
whether it can fit (the vector pass's bound, later the exact answer) and what vendors add to its score. Nodes that
changed since are forgotten before the memo is used; the least recently used shape goes when there are too many.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

from hami_core.errors import PluginFault
from hami_core.fit.columns import BoolArray, Totals
from hami_core.fit.hopes import Hopes
from hami_core.fit.mask import possible
from hami_core.fit.plan import Ask, Plan
from hami_core.fit.state import State
from hami_core.score.policy import FloatArray, NodePolicy
from hami_core.verdict import Fits

MOST_SHAPES = 64
MOST_PLACEMENTS = 64
"""Placements kept per shape: they are small to make again, and large to keep for every node."""

_FEW_CHANGES = 8
"""Up to this many changed nodes are simply open again; beyond it the vector pass is cheaper than trying them."""

IntBytes: TypeAlias = NDArray[np.int8]

OPEN, FITS, REFUSED = 0, 1, 2


@attrs.define(kw_only=True)
class Known:
    """Answers for one shape, by row of the totals, true as of `clock`."""

    clock: int
    state: IntBytes  # OPEN, FITS or REFUSED
    added: FloatArray  # what vendors add to the score of a node that is known to fit, or could add to an open one
    placements: OrderedDict[int, Fits] = attrs.field(factory=OrderedDict)

    def settle(self, row: int, fits: Fits | None, added: float = 0.0) -> None:
        """Keep an exact answer."""
        self.state[row] = REFUSED if fits is None else FITS
        self.added[row] = added
        if fits is not None:
            self.placements[row] = fits
            if len(self.placements) > MOST_PLACEMENTS:
                self.placements.popitem(last=False)


def fresh(plan: Plan, state: State, hopes: Hopes) -> Known:
    """What the vector pass knows, and nothing more."""
    return Known(
        clock=state.totals.clock,
        state=_bounded(possible(plan, state)),
        added=hopes.of(plan, state),
    )


class Memo:
    """Known answers by shape, at most `MOST_SHAPES` of them."""

    def __init__(self) -> None:
        self._shapes: OrderedDict[Hashable, Known] = OrderedDict()
        self._hopes = Hopes()

    def recall(self, plan: Plan, state: State) -> Known:
        """The answers for the plan's shape, brought up to date."""
        shape = shape_of(plan)
        if shape is None:
            return fresh(plan, state, self._hopes)
        known = self._shapes.get(shape)
        if known is None or len(known.state) != state.totals.capacity:
            known = self._shapes[shape] = fresh(plan, state, self._hopes)
            if len(self._shapes) > MOST_SHAPES:
                self._shapes.popitem(last=False)
        else:
            _refresh(known, plan, state, self._hopes)
        self._shapes.move_to_end(shape)
        return known


def _refresh(known: Known, plan: Plan, state: State, hopes: Hopes) -> None:
    changed = state.totals.changed_since(known.clock)
    known.clock = state.totals.clock
    if not len(changed):
        return
    if len(changed) > _FEW_CHANGES:
        known.state[changed] = _bounded(possible(plan, state))[changed]
    else:
        gone = state.totals.ranks[changed] < 0
        known.state[changed] = np.where(gone, np.int8(REFUSED), np.int8(OPEN))
    if any(loaded.fit.node_scorer for loaded in plan.families):
        known.added[changed] = hopes.of(plan, state, tight=len(changed) > _FEW_CHANGES)[changed]


def _bounded(rows: BoolArray) -> IntBytes:
    return np.where(rows, np.int8(OPEN), np.int8(REFUSED))


def shape_of(plan: Plan) -> Hashable | None:
    """What the plan's answers depend on beside the fleet; None where a quota makes every pod's answer its own.

    Annotations belong to it only where a family's code may read them.
    """
    pod = plan.pod
    if any(ask.room is not None for ask in plan.asks):
        return None
    reads_annotations = any(_reads_pod(ask, plan) for ask in plan.asks)
    return (
        pod.containers,
        pod.node_policy,
        pod.device_policy,
        pod.weights,
        tuple(sorted(pod.selectors.items(), key=lambda item: item[0])),
        tuple(sorted(pod.annotations.items())) if reads_annotations else (),
    )


def _reads_pod(ask: Ask, plan: Plan) -> bool:
    fit = ask.loaded.fit
    chooses = fit.chooser is not None and fit.chooses(plan.pod, ask.request)
    return bool(fit.gate or fit.rules or fit.effective_cores or fit.node_scorer or chooses)


class Scores:
    """Each node policy's scores of all nodes, refreshed where nodes changed."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[int, FloatArray]] = {}

    def of(self, policy: NodePolicy, state: State) -> FloatArray:
        """The scores by row of the totals, from before the pod."""
        totals = state.totals
        clock, scores = self._kept.get(policy.name, (-1, np.zeros(0, dtype=np.float32)))
        if len(scores) != totals.capacity:
            scores = _score_rows(policy, totals, np.arange(totals.capacity))
        elif clock != totals.clock:
            changed = totals.changed_since(clock)
            scores[changed] = _score_rows(policy, totals, changed)
        self._kept[policy.name] = totals.clock, scores
        return scores


def _score_rows(policy: NodePolicy, totals: Totals, rows: NDArray[np.intp]) -> FloatArray:
    """The policy's scores of some rows. It is asked about nodes with slots only; the others take nothing and score 0.

    Raises:
        PluginFault: it fails, or does not score each of them with a number; no node could then be called the best.
    """
    scores = np.zeros(len(rows), dtype=np.float32)
    open_rows = totals.slots[rows] > 0
    nodes = totals.columns(rows[open_rows])
    try:
        given = np.array(policy.score(nodes), dtype=np.float32)
    except Exception as err:
        raise PluginFault(plugin=f"node policy {policy.name}", problem=f"{type(err).__name__}: {err}") from err
    if given.shape != nodes.slots.shape or np.isnan(given).any():
        problem = f"must score every node with a number; scored {given.size} of {nodes.slots.size}, or with NaN"
        raise PluginFault(plugin=f"node policy {policy.name}", problem=problem)
    scores[open_rows] = given
    return scores
