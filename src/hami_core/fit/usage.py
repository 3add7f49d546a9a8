"""What a placement takes of each card, seen over the life of its pod.

Init containers run one after another and before the rest, so a card gives their peak, not their sum. Sidecars stay:
they count with the app containers, and beside every init container that starts after them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from hami_core.model import ContainerKind, ContainerShares, Device, DeviceShare, DeviceUse, Partition

PARTITION_MODE = "mig"
"""The mode of a card that can only be used through hardware partitions."""


@attrs.frozen
class Taken:
    """What a pod takes of one card."""

    slots: int = 0
    memory_mib: int = 0
    core_units: int = 0
    partitions: tuple[Partition, ...] = ()

    def __add__(self, other: Taken) -> Taken:
        return Taken(
            self.slots + other.slots,
            self.memory_mib + other.memory_mib,
            self.core_units + other.core_units,
            _merged(self.partitions, other.partitions),
        )

    def peak(self, other: Taken) -> Taken:
        """The larger of both, field by field; partitions of both, as each place on the card is kept for its time."""
        return Taken(
            max(self.slots, other.slots),
            max(self.memory_mib, other.memory_mib),
            max(self.core_units, other.core_units),
            _merged(self.partitions, other.partitions),
        )


NOTHING = Taken()


def taken_by(containers: Iterable[ContainerShares], *, init_done: bool = False) -> dict[tuple[str, str], Taken]:
    """What `containers` (init first) take, by family and uuid. With `init_done` the init containers hold nothing."""
    running: dict[tuple[str, str], Taken] = {}
    peaks: dict[tuple[str, str], Taken] = {}
    for container in containers:
        own = _own(container)
        if container.kind is not ContainerKind.INIT:
            for card, taken in own.items():
                running[card] = running[card] + taken if card in running else taken
        elif not init_done:
            for card, taken in own.items():
                beside = running.get(card, NOTHING) + taken
                peaks[card] = peaks.get(card, NOTHING).peak(beside)
    for card, peak in peaks.items():
        running[card] = running.get(card, NOTHING).peak(peak)
    return running


def _own(container: ContainerShares) -> dict[tuple[str, str], Taken]:
    own: dict[tuple[str, str], Taken] = {}
    for family, shares in container.shares.items():
        for share in shares:
            card, taken = (family, share.uuid), taken_of(share)
            own[card] = own[card] + taken if card in own else taken
    return own


def taken_of(share: DeviceShare) -> Taken:
    """What one share takes: a slot, its memory and cores, its partition."""
    partitions = () if share.partition is None else (share.partition,)
    return Taken(1, share.memory_mib, share.core_units, partitions)


def with_share(use: DeviceUse, share: DeviceShare) -> DeviceUse:
    """The card after `share` has been given of it."""
    return DeviceUse(
        device=use.device,
        slots_used=use.slots_used + 1,
        memory_used_mib=use.memory_used_mib + share.memory_mib,
        core_units_used=use.core_units_used + share.core_units,
        partitions=use.partitions if share.partition is None else (*use.partitions, share.partition),
        cordoned=use.cordoned,
    )


def is_partitioned(device: Device) -> bool:
    """Whether the card is used through partitions only, so that one card can serve a container several times."""
    return device.mode == PARTITION_MODE


def family_totals(taken: Mapping[tuple[str, str], Taken]) -> dict[str, tuple[int, int]]:
    """Memory MiB and core units over all cards, by family: what a namespace quota is charged."""
    totals: dict[str, tuple[int, int]] = {}
    for (family, _uuid), part in taken.items():
        memory_mib, core_units = totals.get(family, (0, 0))
        totals[family] = (memory_mib + part.memory_mib, core_units + part.core_units)
    return totals


def in_order(partitions: Iterable[Partition]) -> tuple[Partition, ...]:
    """Partitions by their place on the card."""
    return tuple(sorted(partitions, key=lambda part: (part.placement.start, part.placement.size, part.profile)))


def _merged(first: tuple[Partition, ...], second: tuple[Partition, ...]) -> tuple[Partition, ...]:
    if not second or first == second:
        return first
    return in_order({*first, *second}) if first else second
