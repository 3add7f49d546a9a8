"""MIG: which profile a request gets on a card, and where on the card it lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from hami_core.model import (
    Device,
    DeviceRequest,
    DeviceUse,
    Partition,
    PartitionPlacement,
    PartitionProfile,
    Placement,
    PodRequest,
)
from hami_core.wire.partitions import PARTITIONS, PartitionEntry, encode_partitions
from hami_nvidia.config import MigAllowance

MODE = "mig"
_FROM_THE_END = ("1g.", "3g.")


@attrs.frozen
class MigPartitioner:
    """Finds the smallest free partition that holds the request; `allowlist` is the operator's, None for no limit."""

    allowlist: tuple[MigAllowance, ...] | None = None

    def __call__(self, use: DeviceUse, memory_mib: int, request: DeviceRequest) -> tuple[Partition, int, int] | None:  # noqa: ARG002
        """The partition, with the memory and cores that the profile really takes; None when none is free."""
        taken = [partition.placement for partition in use.partitions]
        for profile in self._profiles(use.device):
            if profile.memory_mib < memory_mib:
                continue
            place = free_placement(profile, taken)
            if place is not None:
                return Partition(profile=profile.name, placement=place), profile.memory_mib, profile.core_units
        return None

    def _profiles(self, device: Device) -> list[PartitionProfile]:
        allowed = self._allowed(device.model)
        profiles = [profile for profile in device.profiles if allowed is None or profile.name in allowed]
        return sorted(profiles, key=lambda profile: (profile.memory_mib, profile.slice_count))

    def _allowed(self, model: str) -> frozenset[str] | None:
        if self.allowlist is None:
            return None
        fitting = (entry for entry in self.allowlist if any(part in model for part in entry.models))
        return frozenset(name for entry in fitting for name in entry.profiles)


def free_placement(profile: PartitionProfile, taken: Sequence[PartitionPlacement]) -> PartitionPlacement | None:
    """The first free place in the order that keeps room for the larger profiles.

    Profiles of one and three slices are laid from the card's end, as HAMi lays them: the places of larger profiles
    start at its beginning.
    """
    backwards = profile.name.startswith(_FROM_THE_END)
    for place in sorted(profile.placements, key=lambda place: place.start, reverse=backwards):
        if not any(place.overlaps(other) for other in taken):
            return place
    return None


def write_partitions(
    placement: Placement,
    devices: Mapping[str, Device],  # noqa: ARG001 - the protocol's
    pod: PodRequest,  # noqa: ARG001
    now_ns: int,  # noqa: ARG001
) -> Mapping[str, str]:
    """The reservation annotation, or nothing for a pod without partitions."""
    entries = [
        PartitionEntry(container_index=i, device_index=j, device_uuid=share.uuid, partition=share.partition)
        for i, shares in enumerate(placement.shares_of("NVIDIA"))
        for j, share in enumerate(shares)
        if share.partition is not None
    ]
    return {PARTITIONS: encode_partitions(entries)} if entries else {}
