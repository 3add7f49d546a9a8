"""The core's own policies, loaded like anyone's: the entry point ``hami-policies``."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from hami_core.hookspecs import hookimpl
from hami_core.model import DeviceUse
from hami_core.score.policy import DevicePolicy, FloatArray, IntArray, NodeColumns, NodePolicy, Policy

DEFAULT_NODE_POLICY = "binpack"
DEFAULT_DEVICE_POLICY = "spread"
NUMA_POLICY = "numa"

SCALE = 10
"""A resource that is wholly taken counts ten points, for nodes and for cards."""


def fullness(nodes: NodeColumns) -> FloatArray:
    """How full each node is, 0 (empty) to 30: slots, cores and memory count ten each; 0 where a total is 0.

    float32, in this order of operations, as HAMi computes it: its ties and ours are then the same nodes.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        slots = _share(nodes.slots_used, nodes.slots)
        cores = _share(nodes.core_units_used, nodes.core_units)
        memory = _share(nodes.memory_used_mib, nodes.memory_mib)
        score = np.asarray(SCALE * (slots + cores + memory), dtype=np.float32)
    countless = (nodes.slots == 0) | (nodes.core_units == 0) | (nodes.memory_mib == 0)
    score[countless] = 0
    return score


def _share(used: IntArray, total: IntArray) -> FloatArray:
    share: FloatArray = np.divide(used.astype(np.float32), total.astype(np.float32))
    return share


def _fullest(_use: DeviceUse, score: float) -> float:
    return score


def _emptiest(_use: DeviceUse, score: float) -> float:
    return -score


def _highest_numa(use: DeviceUse, _score: float) -> float:
    return use.device.numa


def _least_shared(use: DeviceUse, _score: float) -> float:
    return -use.slots_used


BINPACK_CARDS = DevicePolicy(name="binpack", preference=_fullest, low_numa_first=True)
SPREAD_CARDS = DevicePolicy(name=DEFAULT_DEVICE_POLICY, preference=_emptiest)
BINPACK_NODES = NodePolicy(name=DEFAULT_NODE_POLICY, score=fullness)

POLICIES: tuple[Policy, ...] = (
    BINPACK_NODES,
    NodePolicy(name="spread", score=fullness, take="lowest"),
    BINPACK_CARDS,
    SPREAD_CARDS,
    DevicePolicy(name=NUMA_POLICY, preference=_highest_numa),
    DevicePolicy(name="mutex", preference=_least_shared, in_chain=False, exclusive=True),
    # The vendor's chooser does the choosing; among equals the emptiest card goes first.
    DevicePolicy(name="topology-aware", preference=_emptiest, in_chain=False),
)


@hookimpl
def hami_policies() -> Iterable[Policy]:
    """Declare binpack and spread for nodes; binpack, spread, numa, mutex and topology-aware for cards."""
    return POLICIES
