"""Hygon's virtual DCUs: a ``vdevN.conf`` says which memory, compute units and queues of a card a container has.

The driver enforces it. Units are bits of two masks of 64 for each card; a pipe belongs to one virtual card of its card,
a number to one of the node. What is taken is read from the files of the node's containers: they are the record.

Facts: wire contract section 4.3; Project-HAMi/dcu-vgpu-device-plugin, internal/pkg/dcu (format, sizes, order).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Self

import attrs

from hami_core.errors import HamiError

FOLDER = "vdev"
IN_CONTAINER = "/etc/vdev/docker"
MOST_VDEVS = 200
MOST_PIPES = 20

_MASK_BITS = 64
_MASKS = 2
_LINE = re.compile(r"(?P<key>[A-Za-z_]+):\s*(?P<value>\S+)")


class NothingLeft(HamiError):
    """A card, or the node, has no room for one more virtual card."""


@attrs.frozen(kw_only=True)
class Vdev:
    """One virtual card. `units` has a bit for each compute unit, the first mask's in the lower half."""

    bus: str
    units: int
    memory_mib: int
    device: int
    number: int
    pipe: int

    @property
    def file(self) -> str:
        """Where it is written, below the container's folder."""
        return f"{FOLDER}/vdev{self.number}.conf"

    def render(self) -> str:
        """The file's text."""
        masks = (self.units >> _MASK_BITS * place & (1 << _MASK_BITS) - 1 for place in range(_MASKS))
        return "".join(
            (
                f"PciBusId: {self.bus}\n",
                *(f"cu_mask: 0x{mask:016x}\n" for mask in masks),
                f"cu_count: {self.units.bit_count()}\n",
                f"mem: {self.memory_mib} MiB\n",
                f"device_id: {self.device}\n",
                f"vdev_id: {self.number}\n",
                f"pipe_id: {self.pipe}\n",
                "enable: 1\n",
            )
        )

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read a file back; None for what is none."""
        fields: dict[str, list[str]] = {}
        for line in text.splitlines():
            if found := _LINE.match(line):
                fields.setdefault(found["key"], []).append(found["value"])
        try:
            low, high = (int(mask, 16) for mask in fields["cu_mask"])
            return cls(
                bus=fields["PciBusId"][0],
                units=high << _MASK_BITS | low,
                memory_mib=int(fields["mem"][0]),
                device=int(fields["device_id"][0]),
                number=int(fields["vdev_id"][0]),
                pipe=int(fields["pipe_id"][0]),
            )
        except (KeyError, ValueError):
            return None


def vdevs_in(files: Mapping[str, str]) -> tuple[Vdev, ...]:
    """The virtual cards among a container's files."""
    read = (Vdev.parse(text) for name, text in sorted(files.items()) if name.startswith(f"{FOLDER}/"))
    return tuple(vdev for vdev in read if vdev is not None)


def cut(taken: Iterable[Vdev], *, bus: str, device: int, units: int, unit_count: int, memory_mib: int) -> Vdev:
    """A virtual card of what the others leave: the lowest free units, pipe and number.

    Args:
        taken: every virtual card of this node.
        bus: PCI address of the card.
        device: the driver's number of the card.
        units: how many compute units it shall have.
        unit_count: how many the card has.
        memory_mib: its memory.

    Raises:
        NothingLeft: fewer units are free, or no pipe, or no number.
    """
    taken = tuple(taken)
    mine = [vdev for vdev in taken if vdev.device == device]
    used = 0
    for vdev in mine:
        used |= vdev.units
    free = [bit for bit in range(min(unit_count, _MASKS * _MASK_BITS)) if not used >> bit & 1]
    if len(free) < units:
        raise NothingLeft(f"DCU {device}: {len(free)} of {unit_count} compute units are free, {units} are needed")
    return Vdev(
        bus=bus,
        units=sum(1 << bit for bit in free[:units]),
        memory_mib=memory_mib,
        device=device,
        number=_lowest({vdev.number for vdev in taken}, MOST_VDEVS, "this node: virtual cards"),
        pipe=_lowest({vdev.pipe for vdev in mine}, MOST_PIPES, f"DCU {device}: pipes"),
    )


def _lowest(taken: set[int], most: int, what: str) -> int:
    for number in range(most):
        if number not in taken:
            return number
    raise NothingLeft(f"{what}: all {most} are in use")
