"""The values everything else speaks in: devices, requests, shares, placements.

All are frozen and keyword-only. Memory is MiB. Cores are `core_units`, in the family's own unit: a percent of one card
for most, sixteenths for Moore Threads, AI cores for Ascend (`Family.core_unit` says which). On the wire and in JSON the
field is called `core_percent` for every vendor, because HAMi's tools read it so.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NewType

import attrs

from hami_core.values import text, whole

FamilyName = NewType("FamilyName", str)
"""The word a family goes by on the wire, HAMi's CommonWord: ``NVIDIA``, ``MLU``, ``Ascend910B3``."""

_EMPTY: Mapping[str, Any] = MappingProxyType({})


class ContainerKind(enum.StrEnum):
    """When a container runs, which decides how its share adds up with the others of its pod."""

    INIT = "init"  # runs alone, before the rest: the pod needs the peak over these
    SIDECAR = "sidecar"  # init container with restartPolicy Always: runs beside the app containers
    APP = "app"


@attrs.frozen(kw_only=True)
class PartitionPlacement:
    """A place on a card that a hardware partition takes: `size` slices from slice `start`."""

    start: int = attrs.field(validator=whole(0))
    size: int = attrs.field(validator=whole(1))

    def overlaps(self, other: PartitionPlacement) -> bool:
        """Whether both would use one slice."""
        return self.start < other.start + other.size and other.start < self.start + self.size


@attrs.frozen(kw_only=True)
class PartitionProfile:
    """A hardware partition a card offers (a MIG profile): its size, and where on the card it may lie."""

    name: str = attrs.field(validator=text)
    memory_mib: int = attrs.field(validator=whole(1))
    core_units: int = attrs.field(validator=whole(0))
    slice_count: int = attrs.field(validator=whole(0))
    placements: tuple[PartitionPlacement, ...] = ()


@attrs.frozen(kw_only=True)
class Partition:
    """One partition, reserved or made: the profile's name and where it lies."""

    profile: str = attrs.field(validator=text)
    placement: PartitionPlacement


@attrs.frozen(kw_only=True)
class Device:
    """One accelerator card as the scheduler knows it (already scaled: oversubscribed memory counts here)."""

    uuid: str = attrs.field(validator=text)
    family: str = attrs.field(validator=text)
    model: str  # as registered, such as "NVIDIA-NVIDIA A40"
    index: int = attrs.field(default=0, validator=whole(0))
    memory_mib: int = attrs.field(validator=whole(0))
    core_units: int = attrs.field(default=100, validator=whole(0))
    slots: int = attrs.field(default=1, validator=whole(0))  # how many containers may share the card
    numa: int = 0  # the registered value; some drivers report -1 for "none"
    healthy: bool = True
    mode: str = ""  # "", "hami-core", "mig", "mps"
    profiles: tuple[PartitionProfile, ...] = ()
    custom: Mapping[str, Any] = attrs.field(default=_EMPTY, hash=False)  # vendor facts, e.g. {"NetworkID": 0}


@attrs.frozen(kw_only=True)
class DeviceRequest:
    """What one container asks of one family: `count` cards, and on each of them this much.

    Exactly one of `memory_mib` and `memory_percent` is set. A percentage is of each card's own memory, rounded down.
    """

    family: str = attrs.field(validator=text)
    count: int = attrs.field(validator=whole(1))
    memory_mib: int | None = attrs.field(default=None, validator=attrs.validators.optional(whole(0)))
    memory_percent: int | None = attrs.field(default=None, validator=attrs.validators.optional(whole(0, 100)))
    core_units: int = attrs.field(default=0, validator=whole(0))

    def __attrs_post_init__(self) -> None:
        if (self.memory_mib is None) == (self.memory_percent is None):
            raise ValueError("DeviceRequest takes exactly one of memory_mib and memory_percent")

    def memory_on(self, total_mib: int) -> int:
        """MiB this request takes on a card of `total_mib`."""
        if self.memory_mib is not None:
            return self.memory_mib
        assert self.memory_percent is not None
        return total_mib * self.memory_percent // 100


@attrs.frozen(kw_only=True)
class ContainerRequest:
    """What one container asks for, over all families. `devices` is empty for a container without accelerators."""

    name: str
    kind: ContainerKind = ContainerKind.APP
    devices: tuple[DeviceRequest, ...] = attrs.field(default=())

    @devices.validator
    def _one_request_a_family(self, _attribute: object, devices: tuple[DeviceRequest, ...]) -> None:
        families = [device.family for device in devices]
        twice = next((family for family in families if families.count(family) > 1), None)
        if twice is not None:
            raise ValueError(
                f"ContainerRequest.devices must name each family once; container {self.name} asks for {twice} twice "
                f"(write one DeviceRequest, or two containers)"
            )


@attrs.frozen(kw_only=True)
class Selector:
    """Which cards of a family a pod accepts. An empty tuple means no constraint.

    Types match as case-insensitive substrings of the card's model, UUIDs exactly.
    """

    allow_types: tuple[str, ...] = ()
    deny_types: tuple[str, ...] = ()
    allow_uuids: tuple[str, ...] = ()
    deny_uuids: tuple[str, ...] = ()
    numa_bind: bool = False
    mode: str | None = None  # a card fits when its mode is a substring of this


@attrs.frozen(kw_only=True)
class ScoringWeights:
    """How much slots, cores and memory count in a device's score; not all zero."""

    slot: int = attrs.field(default=1, validator=whole(0))
    core: int = attrs.field(default=1, validator=whole(0))
    memory: int = attrs.field(default=1, validator=whole(0))

    def __attrs_post_init__(self) -> None:
        if not (self.slot or self.core or self.memory):
            raise ValueError("ScoringWeights must not all be 0")


@attrs.frozen(kw_only=True)
class PodRequest:
    """Everything the fit engine needs to know of a pod. `containers` has init containers first, as on the wire.

    `annotations` is there for vendor rules that read keys of their own; the core itself reads only the typed fields.
    """

    namespace: str = "default"
    name: str = attrs.field(validator=text)
    uid: str = ""
    containers: tuple[ContainerRequest, ...] = ()
    node_policy: str = "binpack"
    device_policy: str = "spread"
    weights: ScoringWeights = ScoringWeights()
    selectors: Mapping[str, Selector] = attrs.field(default=_EMPTY, hash=False)  # by family
    annotations: Mapping[str, str] = attrs.field(default=_EMPTY, hash=False)

    @property
    def key(self) -> str:
        """The uid, or ``namespace/name`` where there is none (files, embedding)."""
        return self.uid or f"{self.namespace}/{self.name}"

    @property
    def families(self) -> tuple[str, ...]:
        """Names of the families asked for, sorted."""
        return tuple(sorted({device.family for container in self.containers for device in container.devices}))


@attrs.frozen(kw_only=True)
class DeviceShare:
    """A slice of one card, held by one container."""

    uuid: str = attrs.field(validator=text)
    memory_mib: int = attrs.field(default=0, validator=whole(0))
    core_units: int = attrs.field(default=0, validator=whole(0))
    partition: Partition | None = None


@attrs.frozen(kw_only=True)
class ContainerShares:
    """What one container of a placement gets: family -> shares, in the order the container sees its cards."""

    name: str = ""
    kind: ContainerKind = ContainerKind.APP
    shares: Mapping[str, tuple[DeviceShare, ...]] = attrs.field(default=_EMPTY, hash=False)


@attrs.frozen(kw_only=True)
class Placement:
    """Where a pod goes: a node, and per container (init first) its shares."""

    node: str = attrs.field(validator=text)
    containers: tuple[ContainerShares, ...] = ()

    def shares_of(self, family: str) -> tuple[tuple[DeviceShare, ...], ...]:
        """Shares of one family, one tuple a container, empty where the container has none."""
        return tuple(container.shares.get(family, ()) for container in self.containers)

    @property
    def families(self) -> tuple[str, ...]:
        """Families with at least one share, sorted."""
        return tuple(sorted({name for c in self.containers for name, held in c.shares.items() if held}))


@attrs.frozen(kw_only=True)
class DeviceUse:
    """A card and what is taken of it: what rules, scores and choosers look at."""

    device: Device
    slots_used: int = 0
    memory_used_mib: int = 0
    core_units_used: int = 0
    partitions: tuple[Partition, ...] = ()
    cordoned: bool = False

    @property
    def memory_free_mib(self) -> int:
        """MiB left; 0 when over-committed (a card that shrank under its pods)."""
        return max(0, self.device.memory_mib - self.memory_used_mib)

    @property
    def core_units_free(self) -> int:
        """Core units left; never negative."""
        return max(0, self.device.core_units - self.core_units_used)
