"""The device nodes of cards, as probes find them and allocators hand them on."""

from __future__ import annotations

from hami_core.model import Device

DEVICE_NODES = "device_nodes"
"""Key in `ProbedDevice.custom` and `Device.custom`: paths of the card's device nodes, a list."""


def card_nodes(card: Device, *otherwise: str) -> tuple[str, ...]:
    """The nodes that the probe found for a card; `otherwise` where it did not say."""
    found = card.custom.get(DEVICE_NODES)
    named = isinstance(found, list | tuple) and all(isinstance(node, str) for node in found)
    return tuple(found) if named and found else otherwise
