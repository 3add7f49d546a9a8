"""What a container needs to be held to its share of MLUs: the cards' device nodes, and the limits file."""

from __future__ import annotations

from hami_core.behaviour import AllocationContext, ContainerEdits
from hami_core.isolation.edits import library_env, library_mounts
from hami_core.model import Device, DeviceShare
from hami_mlu.profile import PROFILE, instance_profile

VISIBLE = "CAMBRICON_VISIBLE_DEVICES"
"""What Cambricon's container runtime reads: slots of cards."""

_CONTROL = "/dev/cambricon_ctl"
_RIGHTS = "rw"


def allocate(context: AllocationContext) -> ContainerEdits:
    """Edits for the container that holds `context.shares`, cards in the order it shall see them."""
    cards = [context.devices[share.uuid] for share in context.shares]
    env = {VISIBLE: ",".join(str(card.index) for card in cards), **library_env(context)}
    nodes = dict.fromkeys(node for card in cards for node in _nodes(card))
    return ContainerEdits(
        env=env,
        mounts=library_mounts(context),
        device_nodes=tuple((node, _RIGHTS) for node in nodes),
        annotations=_profile(context.shares, cards),
    )


def _nodes(card: Device) -> list[str]:
    """The device nodes that the probe found for a card; those that every driver makes, where it did not say."""
    found = card.custom.get("device_nodes")
    return found if isinstance(found, list) else [f"/dev/cambricon_dev{card.index}", _CONTROL]


def _profile(shares: tuple[DeviceShare, ...], cards: list[Device]) -> dict[str, str]:
    return {PROFILE: instance_profile(shares[0], cards[0].index)} if shares else {}
