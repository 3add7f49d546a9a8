"""The register of a node: HAMi's JSON, with the cores of a card in compute units."""

from __future__ import annotations

from types import MappingProxyType

import attrs
from hami_core import Device, NodeFacts
from hami_core.family import Family
from hami_core.wire.register import RegisterCodec

COMPUTE_UNITS = "computeUnits"
_WHOLE = 100


@attrs.frozen
class PercentRegister:
    """Reads every card as one of 100 percent, and keeps the number of its compute units beside that."""

    family: Family

    def decode(self, node: NodeFacts) -> tuple[Device, ...]:
        """The node's cards. Raises BadWire as the core's codec does."""
        return tuple(_in_percent(card) for card in RegisterCodec(self.family).decode(node))


def _in_percent(card: Device) -> Device:
    custom = MappingProxyType({**card.custom, COMPUTE_UNITS: card.core_units})
    return attrs.evolve(card, core_units=_WHOLE if card.core_units else 0, custom=custom)
