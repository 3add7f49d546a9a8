"""What a container needs to be held to its share of Moore Threads GPUs: what its toolkit reads, and the limits file.

Moore Threads' container toolkit makes the device nodes, and its kernel module holds a container to memory and weight.

Facts: wire contract section 4.6; reference of sGPU in Moore Threads' documents, for the two variables of quality of
service: memory in bytes, and a weight that is relative to that of others on the card.
"""

from __future__ import annotations

from hami_core.behaviour import AllocationContext, ContainerEdits
from hami_core.isolation.edits import library_env, library_mounts
from hami_core.isolation.nodes import card_nodes
from hami_core.units import MIB
from hami_mthreads.facts import SGPU_MODULE

VISIBLE = "MTHREADS_VISIBLE_DEVICES"
"""What Moore Threads' container toolkit reads: the driver's numbers of cards."""

MEMORY_LIMIT = "MTHREADS_QOS_MEMORY_LIMIT"
WEIGHT = "MTHREADS_QOS_COMPUTING_POWER_WEIGHT"

_RIGHTS = "rw"


def allocate(context: AllocationContext) -> ContainerEdits:
    """Edits for the container that holds `context.shares`, cards in the order it shall see them."""
    cards = [context.devices[share.uuid] for share in context.shares]
    env = {VISIBLE: ",".join(str(card.index) for card in cards), **library_env(context)}
    shared = len(context.shares) == 1 and context.shares[0].memory_mib < cards[0].memory_mib
    if shared:
        # The module shares out one card; several cards of a container are whole ones.
        (share,) = context.shares
        env[MEMORY_LIMIT] = str(share.memory_mib * MIB)
        if share.core_units:
            env[WEIGHT] = str(share.core_units)
    nodes = [node for card in cards for node in card_nodes(card, f"/dev/mtgpu{card.index}")]
    return ContainerEdits(
        env=env,
        mounts=library_mounts(context),
        device_nodes=tuple((node, _RIGHTS) for node in dict.fromkeys(nodes)),
        cores_elsewhere=shared and cards[0].custom.get(SGPU_MODULE) is True,
    )
