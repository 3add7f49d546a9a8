"""Cards of families that register nothing: derived from what kubelet reports as the node's capacity."""

from __future__ import annotations

import attrs

from hami_core.errors import BadQuantity, BadWire
from hami_core.family import Family
from hami_core.model import Device
from hami_core.objects import NodeFacts
from hami_core.units import whole_number


@attrs.frozen(kw_only=True)
class CapacityCodec:
    """Makes one device per full or started card's worth of core units in ``status.capacity``."""

    family: Family
    id_stem: str
    slots: int

    def decode(self, node: NodeFacts) -> tuple[Device, ...]:
        """The family's devices on `node`, called ``<node>-<stem>-<index>`` as HAMi calls them.

        Raises:
            BadWire: the capacity is not a whole number, or memory has no cores to go with.
        """
        resources, units = self.family.resources, self.family.units
        cores = self._capacity(node, resources.cores)
        memory_mib = self._capacity(node, resources.memory) * units.memory_unit_mib
        per_card = units.cores_per_card
        card_mib = memory_mib * per_card // cores if cores else 0
        return tuple(
            Device(
                uuid=f"{node.name}-{self.id_stem}-{index}",
                family=self.family.name,
                model=self.family.name,
                index=index,
                memory_mib=card_mib,
                core_units=per_card,
                slots=self.slots,
            )
            for index in range(-(-cores // per_card))
        )

    def _capacity(self, node: NodeFacts, resource: str | None) -> int:
        value = node.capacity.get(resource) if resource else None
        if value is None:
            return 0
        try:
            return whole_number(value, where=f"status.capacity {resource}", high=_MOST)
        except BadQuantity as err:
            raise BadWire(what=f"node {node.name}", problem=str(err)) from err


def capacity_codec(family: Family, *, id_stem: str, slots: int = 100) -> CapacityCodec:
    """A codec for a family of `RegisterForm.CAPACITY`; `slots` is how many containers may share a card."""
    return CapacityCodec(family=family, id_stem=id_stem, slots=slots)


# A million core units are ten thousand cards on one node; more is a mistake that must not cost the memory to hold it.
_MOST = 1_000_000
