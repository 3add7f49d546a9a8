"""What a container needs to be held to its share of Iluvatar cards: their device nodes, and the limits file.

Facts: Deep-Spark/ix-device-plugin, pkg/dpm (device nodes and variables); wire contract sections 2 and 4.4.
"""

from __future__ import annotations

from hami_core.behaviour import AllocationContext, ContainerEdits
from hami_core.isolation.edits import library_env, library_mounts
from hami_core.isolation.nodes import card_nodes

VISIBLE = "IX_VISIBLE_DEVICES"
"""What Iluvatar's container runtime reads: uuids of cards."""

_RIGHTS = "rw"


def allocate(context: AllocationContext) -> ContainerEdits:
    """Edits for the container that holds `context.shares`, cards in the order it shall see them."""
    cards = [context.devices[share.uuid] for share in context.shares]
    nodes = [node for card in cards for node in card_nodes(card, f"/dev/iluvatar{card.index}")]
    env = {VISIBLE: ",".join(card.uuid for card in cards), **library_env(context)}
    # The library is the CUDA one, and knows HAMi's variables.
    env["CUDA_DEVICE_MEMORY_SHARED_CACHE"] = str(context.region_file)
    for position, share in enumerate(context.shares):
        env[f"CUDA_DEVICE_MEMORY_LIMIT_{position}"] = f"{max(1, share.memory_mib)}m"
    return ContainerEdits(
        env=env,
        mounts=library_mounts(context),
        device_nodes=tuple((node, _RIGHTS) for node in dict.fromkeys(nodes)),
    )
