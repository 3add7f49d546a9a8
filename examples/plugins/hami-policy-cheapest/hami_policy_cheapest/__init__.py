"""The node policy ``cheapest``: the node with the least accelerator memory that a pod fits on.

Large nodes cost most, and only large pods need them. A small pod on a large node is the most expensive waste there is.
"""

from __future__ import annotations

from collections.abc import Iterable

from hami_core import hookimpl
from hami_core.score.policy import FloatArray, NodeColumns, NodePolicy, Policy

HAMI_API = ">=1,<2"


def memory_of_the_node(nodes: NodeColumns) -> FloatArray:
    """GiB of accelerator memory, free or taken: what the node was bought for."""
    return (nodes.memory_mib / 1024).astype("float32")


@hookimpl
def hami_policies() -> Iterable[Policy]:
    """Declare it; pods write ``hami.io/node-scheduler-policy: cheapest``."""
    return (NodePolicy(name="cheapest", score=memory_of_the_node, take="lowest"),)
