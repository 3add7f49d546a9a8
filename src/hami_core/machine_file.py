"""Machine files: a host with its cards as JSON, for tests of a plugin and for simulation. One form for every vendor.

The keys are described in ``docs/plugins/machine-files.md``. A file may hold more than is read here: a vendor's driver
doubles have facts of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import msgspec

from hami_core.behaviour import Link, ProbedDevice, ProbeReport
from hami_core.errors import BadConfig
from hami_core.family import Family
from hami_core.model import Device, PartitionPlacement, PartitionProfile
from hami_core.objects import NodeFacts

SLOTS = 10
"""How many containers share a card where the file does not say."""

_WHOLE = 100


class _Link(msgspec.Struct, frozen=True, kw_only=True):
    peer_uuid: str
    kind: str
    count: int = 1


class _Profile(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    memory_mib: int
    slice_count: int
    placement_size: int
    placements: tuple[int, ...]
    core_units: int | None = None


class _Partitions(msgspec.Struct, frozen=True, kw_only=True):
    enabled: bool = False
    profiles: tuple[_Profile, ...] = ()


class _Card(msgspec.Struct, frozen=True, kw_only=True):
    uuid: str
    index: int
    model: str
    memory_mib: int
    family: str | None = None
    core_units: int | None = None
    slots: int = SLOTS
    numa: int = 0
    healthy: bool = True
    mode: str = "hami-core"
    mig: _Partitions = _Partitions()
    links: tuple[_Link, ...] = ()
    custom: Mapping[str, Any] = msgspec.field(default_factory=dict)


class _Node(msgspec.Struct, frozen=True, kw_only=True):
    annotations: Mapping[str, str] = msgspec.field(default_factory=dict)
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    capacity: Mapping[str, Any] = msgspec.field(default_factory=dict)


class _File(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    vendor: str
    driver_version: str = "simulated"
    devices: tuple[_Card, ...] = ()
    node: _Node | None = None


@attrs.frozen(kw_only=True)
class MachineFile:
    """A machine as its file says. `node` is there where the file says how the node registers its cards."""

    path: Path
    name: str
    vendor: str
    driver: str
    node: NodeFacts | None = None
    _cards: tuple[_Card, ...] = attrs.field(alias="cards", repr=False)

    def cards_of(self, family: Family, *, only: bool) -> tuple[Device, ...]:
        """The cards of `family`; those that name no family are of the plugin's `only` one, or of their model's."""

        def mine(card: _Card) -> bool:
            return card.family == family.name if card.family else only or card.model in family.models

        return tuple(_device(card, family) for card in self._cards if mine(card))

    def report(self) -> ProbeReport:
        """What a probe of this machine would say, for vendors without driver doubles."""
        return ProbeReport(vendor=self.vendor, driver=self.driver, devices=tuple(_probed(card) for card in self._cards))


def read_machine(path: Path) -> MachineFile:
    """Read a machine file.

    Raises:
        BadConfig: it cannot be read, or a key is missing or of the wrong type.
    """
    try:
        read = msgspec.json.decode(path.read_bytes(), type=_File)
    except OSError as err:
        raise BadConfig(file=str(path), problem=f"cannot be read: {err.strerror}") from err
    except (msgspec.DecodeError, UnicodeDecodeError) as err:
        raise BadConfig(file=str(path), problem=f"is not a machine file: {err}") from err
    node = None
    if read.node is not None:
        node = NodeFacts(
            name=read.name,
            annotations=read.node.annotations,
            labels=read.node.labels,
            capacity=read.node.capacity,
            allocatable=read.node.capacity,
        )
    return MachineFile(
        path=path, name=read.name, vendor=read.vendor, driver=read.driver_version, node=node, cards=read.devices
    )


def _probed(card: _Card) -> ProbedDevice:
    return ProbedDevice(
        uuid=card.uuid,
        index=card.index,
        model=card.model,
        memory_mib=card.memory_mib,
        core_units=_WHOLE if card.core_units is None else card.core_units,
        numa=card.numa,
        healthy=card.healthy,
        mode="mig" if card.mig.enabled else card.mode,
        profiles=_profiles(card),
        links=tuple(Link(peer_uuid=link.peer_uuid, kind=link.kind, count=link.count) for link in card.links),
        custom={**card.custom, **({"family": card.family} if card.family else {})},
    )


def _device(card: _Card, family: Family) -> Device:
    return Device(
        uuid=card.uuid,
        family=family.name,
        model=card.model,
        index=card.index,
        memory_mib=card.memory_mib,
        core_units=family.units.cores_per_card if card.core_units is None else card.core_units,
        slots=card.slots,
        numa=card.numa,
        healthy=card.healthy,
        mode="mig" if card.mig.enabled else card.mode,
        profiles=_profiles(card),
        custom=card.custom,
    )


def _profiles(card: _Card) -> tuple[PartitionProfile, ...]:
    return tuple(_profile(profile, card.mig) for profile in card.mig.profiles) if card.mig.enabled else ()


def _profile(profile: _Profile, partitions: _Partitions) -> PartitionProfile:
    most = max(other.slice_count for other in partitions.profiles)
    share = profile.slice_count * _WHOLE // most
    return PartitionProfile(
        name=profile.name,
        memory_mib=profile.memory_mib,
        core_units=share if profile.core_units is None else profile.core_units,
        slice_count=profile.slice_count,
        placements=tuple(PartitionPlacement(start=start, size=profile.placement_size) for start in profile.placements),
    )
