"""Checks of policies: they order nodes and cards, and nothing else."""

from __future__ import annotations

import math
import re

import numpy as np

from hami_core.fit import Fleet
from hami_core.model import ContainerRequest, Device, DeviceRequest, DeviceUse, PodRequest
from hami_core.objects import NodeFacts
from hami_core.registry import load_registry
from hami_core.score import builtin
from hami_core.score.policy import DevicePolicy, FloatArray, NodeColumns, NodePolicy
from hami_core.testing.conformance.check import Ability, check, require
from hami_core.testing.conformance.sample import SampleFamily
from hami_core.testing.conformance.subject import Subject
from hami_core.wire.device_config import ConfigSections

_WORD = re.compile(r"[a-z][a-z0-9-]*")
# Nodes with nothing, something and everything taken, and one without any card.
_ROWS = np.array([[0, 0, 0, 0, 0, 0], [10, 0, 100, 0, 81_920, 0], [10, 3, 100, 40, 81_920, 8192], [4, 4, 64, 64, 1, 1]])


def _columns(rows: np.ndarray[tuple[int, int], np.dtype[np.int64]]) -> NodeColumns:
    slots, slots_used, cores, cores_used, memory, memory_used = rows.astype(np.int64).T
    return NodeColumns(
        slots=slots,
        slots_used=slots_used,
        core_units=cores,
        core_units_used=cores_used,
        memory_mib=memory,
        memory_used_mib=memory_used,
    )


def _cards() -> list[DeviceUse]:
    device = Device(uuid="card-0", family="Sample", model="Sample", memory_mib=81_920, slots=10)
    return [
        DeviceUse(device=device),
        DeviceUse(device=device, slots_used=10, memory_used_mib=81_920, core_units_used=100),
        DeviceUse(device=Device(uuid="card-1", family="Sample", model="Sample", memory_mib=0, slots=0, core_units=0)),
    ]


@check("policies", Ability.POLICIES)
def names_can_stand_in_a_pod(subject: Subject) -> None:
    """Pods name policies in an annotation, a comma between several."""
    for policy in subject.policies:
        found = f'policy "{policy.name}"'
        require(_WORD.fullmatch(policy.name), found, "Use lower-case letters, digits and '-'.")


@check("policies", Ability.POLICIES)
def every_node_gets_one_finite_score(subject: Subject) -> None:
    """A NaN compares as neither better nor worse, so the choice would be left to chance."""
    for policy in subject.policies:
        if not isinstance(policy, NodePolicy):
            continue
        for rows in (_ROWS, _ROWS[:0]):
            with np.errstate(all="ignore"):
                scores = policy.score(_columns(rows))
            found = f"{policy.name} gives {scores!r} for {len(rows)} nodes"
            require(getattr(scores, "shape", None) == (len(rows),), found, "Return an array with an entry a node.")
            require(scores.dtype == np.float32, found, 'Return float32: add .astype("float32").')
            require(bool(np.isfinite(scores).all()), found, "Mind nodes whose totals are 0: divide by max(total, 1).")


@check("policies", Ability.POLICIES)
def a_score_depends_on_its_own_node_only(subject: Subject) -> None:
    """The engine scores again only the nodes that changed."""
    for policy in subject.policies:
        if isinstance(policy, NodePolicy):
            together = _scores(policy, _ROWS)
            alone = np.concatenate([_scores(policy, _ROWS[row : row + 1]) for row in range(len(_ROWS))])
            advice = "No ranks, no means over nodes: each entry from its own row."
            found = f"{policy.name} gives {together} together and {alone} one by one"
            require(bool((together == alone).all()), found, advice)


def _scores(policy: NodePolicy, rows: np.ndarray[tuple[int, int], np.dtype[np.int64]]) -> FloatArray:
    with np.errstate(all="ignore"):
        return policy.score(_columns(rows))


@check("policies", Ability.POLICIES)
def a_policy_changes_nothing_it_is_shown(subject: Subject) -> None:
    """Columns are the engine's books; a write would promise what is taken."""
    for policy in subject.policies:
        if isinstance(policy, NodePolicy):
            columns = _columns(_ROWS.copy())
            _ = policy.score(columns)
            kept = all((getattr(columns, name) == column).all() for name, column in _named(_columns(_ROWS)))
            require(kept, f"{policy.name} writes into its columns", "Compute new arrays; no -=, no out=.")


def _named(columns: NodeColumns) -> list[tuple[str, np.ndarray[tuple[int, ...], np.dtype[np.int64]]]]:
    names = ("slots", "slots_used", "core_units", "core_units_used", "memory_mib", "memory_used_mib")
    return [(name, getattr(columns, name)) for name in names]


@check("policies", Ability.POLICIES)
def every_card_gets_one_finite_preference(subject: Subject) -> None:
    """As for nodes; also for cards without slots, cores or memory."""
    for policy in subject.policies:
        if isinstance(policy, DevicePolicy):
            for card in _cards():
                once, twice = policy.preference(card, 10.0), policy.preference(card, 10.0)
                found = f"{policy.name} prefers {card.device.uuid} by {once!r}, then by {twice!r}"
                finite = isinstance(once, int | float) and math.isfinite(once)
                require(finite and once == twice, found, "Return a finite number that depends on the card alone.")


@check("policies", Ability.POLICIES)
def the_best_node_is_taken_from_a_real_fleet(subject: Subject) -> None:
    """The policy does what it says when the engine calls it."""
    registry = load_registry(ConfigSections.empty(), [builtin, SampleFamily(), subject.module])
    fleet = Fleet(registry)
    for index, memory_mib in enumerate((16_384, 65_536, 32_768)):
        card = Device(uuid=f"card-{index}", family="Sample", model="Sample", memory_mib=memory_mib, slots=4)
        fleet.upsert_node(NodeFacts(name=f"node-{index}"), [card])
    asked = DeviceRequest(family="Sample", count=1, memory_mib=1024)
    for policy in subject.policies:
        orders_nodes = isinstance(policy, NodePolicy)
        pod = PodRequest(
            name="p",
            containers=(ContainerRequest(name="c", devices=(asked,)),),
            node_policy=policy.name if orders_nodes else "binpack",
            device_policy="spread" if orders_nodes else policy.name,
        )
        choice = fleet.decide(pod)
        require(choice.best, f"under {policy.name} nothing fits: {dict(choice.verdicts())}", "A policy only orders.")
