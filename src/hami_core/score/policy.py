"""What a policy is: a name and a pure function that says which nodes, or which cards, are taken first.

A plugin adds policies with the hook `hami_policies`; pods then name them in ``hami.io/node-scheduler-policy`` and
``hami.io/gpu-scheduler-policy``. Thirty lines are enough::

    def emptiest_memory(nodes: NodeColumns) -> FloatArray:
        return (nodes.memory_mib - nodes.memory_used_mib).astype("float32")

    @hookimpl
    def hami_policies():
        return [NodePolicy(name="roomiest", score=emptiest_memory)]
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Literal, TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

from hami_core.model import DeviceUse
from hami_core.values import text

IntArray: TypeAlias = NDArray[np.int64]
FloatArray: TypeAlias = NDArray[np.float32]


class PolicyKind(enum.StrEnum):
    """What a policy orders."""

    NODE = "node"
    DEVICE = "device"


@attrs.frozen(kw_only=True, eq=False)
class NodeColumns:
    """Totals over all cards of each node, of every family, before the pod: one entry a node in each array."""

    slots: IntArray
    slots_used: IntArray
    core_units: IntArray
    core_units_used: IntArray
    memory_mib: IntArray
    memory_used_mib: IntArray


@attrs.frozen(kw_only=True)
class NodePolicy:
    """Orders the nodes that fit by a score; what vendors add to it (`NodeScorer`) counts in the same direction.

    `score` maps columns to one number a node (float32). It is called on many nodes at once and again on the few that
    changed, so an entry may depend on its own node only; nodes without slots are left out. `take` says which end of the
    scores is preferred.
    """

    kind: Literal[PolicyKind.NODE] = attrs.field(default=PolicyKind.NODE, init=False)
    name: str = attrs.field(validator=text)
    score: Callable[[NodeColumns], FloatArray]
    take: Literal["highest", "lowest"] = "highest"


@attrs.frozen(kw_only=True)
class DevicePolicy:
    """Orders the cards of one node: the card with the highest `preference` is tried first.

    `preference` gets the card and its score (`hami_core.score.cards`): how full it is, from 0 to 30 with even weights.
    Several names in a chain (``binpack,numa``) compare by the first, then the next; a policy with `in_chain` off is no
    sort key there. `exclusive` refuses cards that anyone uses, alone or in a chain. `low_numa_first` picks which NUMA
    node a pod bound to one tries first.
    """

    kind: Literal[PolicyKind.DEVICE] = attrs.field(default=PolicyKind.DEVICE, init=False)
    name: str = attrs.field(validator=text)
    preference: Callable[[DeviceUse, float], float]
    in_chain: bool = True
    exclusive: bool = False
    low_numa_first: bool = False


Policy: TypeAlias = NodePolicy | DevicePolicy
