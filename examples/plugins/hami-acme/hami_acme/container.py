"""What a container needs to use its Acme cards."""

from __future__ import annotations

import attrs
from hami_core.behaviour import AllocationContext, ContainerEdits
from hami_core.family import Family

VISIBLE = "ACME_VISIBLE_DEVICES"
LIMITS = "HAMI_LIMITS_FILE"


@attrs.frozen
class AcmeContainer:
    """The device nodes of the shares, the variable that Acme's runtime reads, and the one that our library does."""

    family: Family

    def __call__(self, context: AllocationContext) -> ContainerEdits:
        """Edits for the container that holds `context.shares`."""
        cards = [context.devices[share.uuid] for share in context.shares]
        nodes = [(f"/dev/acme{card.index}", "rw") for card in cards]
        return ContainerEdits(
            env={VISIBLE: ",".join(card.uuid for card in cards), LIMITS: str(context.limits_file)},
            device_nodes=(*dict.fromkeys(nodes), ("/dev/acmectl", "rw")),
        )
