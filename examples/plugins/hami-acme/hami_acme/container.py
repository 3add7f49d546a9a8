"""What a container needs to use its Acme cards."""

from __future__ import annotations

import attrs
from hami_core.behaviour import AllocationContext, ContainerEdits
from hami_core.family import Family

VISIBLE = "ACME_VISIBLE_DEVICES"


@attrs.frozen
class AcmeContainer:
    """The device nodes of the shares and the variable that Acme's runtime reads."""

    family: Family

    def __call__(self, context: AllocationContext) -> ContainerEdits:
        """Edits for the container that holds `context.shares`."""
        cards = [context.devices[share.uuid] for share in context.shares]
        nodes = [(f"/dev/acme{card.index}", "rw") for card in cards]
        return ContainerEdits(
            env={VISIBLE: ",".join(card.uuid for card in cards)},
            device_nodes=(*dict.fromkeys(nodes), ("/dev/acmectl", "rw")),
        )
