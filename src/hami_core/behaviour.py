"""What a vendor can say in code where a table is not enough: small protocols, each optional.

A plugin answers a hook with an object of one of these (or None: the core's table-driven default serves). Objects are
asked for once, at load, and then called directly; none may do I/O except `Probe`, which runs in a child process.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import attrs

from hami_core.model import (
    ContainerShares,
    Device,
    DeviceRequest,
    DeviceShare,
    DeviceUse,
    Partition,
    PartitionPlacement,
    PartitionProfile,
    Placement,
    PodRequest,
)
from hami_core.objects import ContainerFacts, NodeFacts, PodFacts
from hami_core.verdict import Reason

# ---- on the node: what is there ------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Link:
    """A connection between two cards: `kind` as the driver names it, `count` lanes or links."""

    peer_uuid: str
    kind: str  # "nvlink", "single-switch", "multi-switch", "host-bridge", "same-cpu", "cross-cpu", "same-board"
    count: int = 1


@attrs.frozen(kw_only=True)
class ProbedDevice:
    """A card as its driver reports it, before scaling. `None` means the driver would not say.

    `process_memory_mib` is by pid, as this host's driver numbers processes; one whose use it hides is left out.
    `partitions` are the places where hardware partitions lie now, whoever made them.
    """

    uuid: str
    index: int
    model: str
    memory_mib: int | None
    memory_used_mib: int | None = None
    core_units: int = 100
    core_busy_percent: int | None = None
    memory_busy_percent: int | None = None
    process_memory_mib: Mapping[int, int] = attrs.field(factory=dict, hash=False)
    numa: int | None = None
    healthy: bool = True
    health_note: str = ""
    mode: str = "hami-core"
    profiles: tuple[PartitionProfile, ...] = ()
    partitions: tuple[PartitionPlacement, ...] = ()
    links: tuple[Link, ...] = ()
    custom: Mapping[str, Any] = attrs.field(factory=dict, hash=False)


@attrs.frozen(kw_only=True)
class ProbeReport:
    """What a probe saw. `driver` is the driver's version, or None with `missing` saying what is not installed."""

    vendor: str
    devices: tuple[ProbedDevice, ...] = ()
    driver: str | None = None
    missing: str = ""


class Probe(Protocol):
    """Reads the devices of this host. Runs in a child process with a deadline: it may hang or crash the child."""

    def __call__(self) -> ProbeReport:
        """Return what is there. A missing driver is `ProbeReport(missing=...)`; a failing one raises."""
        ...


@attrs.frozen(kw_only=True)
class DeviceEvent:
    """What a driver reported of a card by itself. `xid` is NVIDIA's number of it, None where there is none."""

    uuid: str
    xid: int | None = None
    note: str = ""


class Watch(Protocol):
    """Waits for what a driver reports by itself. Runs in a child process, for as long as it likes."""

    def __call__(self, report: Callable[[DeviceEvent], None]) -> None:
        """Call `report` for every event; return where there is nothing to wait for."""
        ...


@attrs.frozen(kw_only=True)
class WantedInstance:
    """A hardware partition that shall be, and on which card."""

    device_uuid: str
    partition: Partition


@attrs.frozen(kw_only=True)
class MadeInstance:
    """A hardware partition that is, by the driver's names. `uuid` is what a container sees."""

    uuid: str
    device_uuid: str
    gpu_instance: int
    compute_instance: int
    partition: Partition


@attrs.frozen(kw_only=True)
class PartitionOrder:
    """What to remove, then what to make. `taken` are the uuids of instances that other containers have.

    `reclaim` are places where one of ours may be that nobody knows by name: an agent that was killed had asked for it.
    """

    drop: tuple[MadeInstance, ...] = ()
    reclaim: tuple[WantedInstance, ...] = ()
    make: tuple[WantedInstance, ...] = ()
    taken: frozenset[str] = frozenset()


@attrs.frozen(kw_only=True)
class PartitionAnswer:
    """What was made, in the order of the wish, and what could not be removed because somebody uses it.

    `unreclaimed` is that part of the order's `reclaim`.
    """

    made: tuple[MadeInstance, ...] = ()
    kept: tuple[MadeInstance, ...] = ()
    unreclaimed: tuple[WantedInstance, ...] = ()


class PartitionTool(Protocol):
    """Makes and removes hardware partitions. Runs in a child process with a deadline, one at a time a node."""

    def __call__(self, order: PartitionOrder) -> PartitionAnswer:
        """Carry out all of `order.make` or none of it, of `drop` and `reclaim` what is not in use. Raises HamiError.

        What exists already where an instance is wanted is taken over, unless it is one of `order.taken`; what nobody
        named is never touched.
        """
        ...


# ---- node <-> cluster ----------------------------------------------------------------------------------------------


class NodeCodec(Protocol):
    """Turns a node into the family's devices, where annotations or capacity need more than the table says."""

    def decode(self, node: NodeFacts) -> tuple[Device, ...]:
        """Devices of this family on `node`; empty when it has none. Raises BadWire on malformed data."""
        ...


# ---- admission and request -----------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Edits:
    """What admission changes for one container. All mappings are name -> value to set; existing equal values stay.

    `found` says that the container asks for this family. `pod_annotations` and `runtime_class` apply to the pod.
    """

    found: bool = False
    limits: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    requests: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    env: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    env_all_containers: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    pod_annotations: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    runtime_class: str | None = None


class Admitter(Protocol):
    """Completes or refuses a container's request when the pod is created."""

    def __call__(self, pod: PodFacts, container: ContainerFacts) -> Edits:
        """Return the edits. Raises AdmissionRefused or BadQuantity with a text for the pod's author."""
        ...


class RequestParser(Protocol):
    """Reads what a container asks of the family; exactly one place does this for every host."""

    def __call__(self, pod: PodFacts, container: ContainerFacts) -> DeviceRequest | None:
        """The request, or None when the container does not ask. Raises BadQuantity."""
        ...


# ---- fit -----------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class FitContext:
    """What a rule or chooser may look at beside the card: the pod, the container's place in it, the node.

    `earlier` holds the shares that containers of this pod already got on this node in this attempt.
    """

    pod: PodRequest
    container_index: int
    node: NodeFacts
    earlier: tuple[ContainerShares, ...] = ()


@attrs.frozen(kw_only=True)
class Rule:
    """One extra reason to pass over a card: `test` returns True when the card is acceptable."""

    reason: Reason
    test: Callable[[DeviceUse, DeviceRequest, FitContext], bool]


@attrs.frozen(kw_only=True)
class Candidate:
    """A card that passed every rule, and the share it would give."""

    use: DeviceUse
    share: DeviceShare


class Chooser(Protocol):
    """Picks `request.count` of the fitting cards, where the first ones in policy order are not the best (topology).

    Called when at least `request.count` cards fit. Candidates come most preferred first. Returning fewer than were
    asked for, or None, rejects the node for this container (`Reason.TOO_FEW`, counted out of `request.count`).
    """

    def __call__(
        self, candidates: Sequence[Candidate], request: DeviceRequest, context: FitContext
    ) -> Sequence[Candidate] | None:
        """Return the chosen candidates, `request.count` of them, in the order the container shall see them."""
        ...


class Partitioner(Protocol):
    """Finds a hardware partition for a request on a card in partition mode, or None when none is free."""

    def __call__(self, use: DeviceUse, memory_mib: int, request: DeviceRequest) -> tuple[Partition, int, int] | None:
        """Return the partition with the memory MiB and the core units that it really takes."""
        ...


class NodeScorer(Protocol):
    """Adds to a node's score once the cards are known (Ascend network groups). At most `ceiling` per container."""

    @property
    def ceiling(self) -> float:
        """The most that one container can add."""
        ...

    def __call__(self, placement: Placement, uses: Mapping[str, DeviceUse], request: PodRequest) -> float:
        """Return what to add to the node's score; `uses` is by device uuid, from before this pod."""
        ...


@runtime_checkable
class BoundedScorer(NodeScorer, Protocol):
    """A scorer that can say from a node's cards alone how much it could add, so that few nodes need to be tried.

    Nodes with equal layouts share their bounds: a layout should hold what the score depends on and nothing else.
    """

    def layout(self, devices: Sequence[Device]) -> Hashable:
        """What the score depends on of a node's cards of the family; asked for when a node's cards change."""
        ...

    def bounds(self, layout: Hashable, request: PodRequest, choice: int) -> tuple[float, float]:
        """The least and the most that it could add on such a node, with `choice` cards or more to choose from."""
        ...


@attrs.frozen(kw_only=True)
class FitBehaviour:
    """A family's share of the fit loop beyond its table. Pure functions; called in the scheduler's hot path.

    `gate` refuses a node for a container before any card is looked at (a mode the node does not offer). `chooses` lets
    the engine keep its vector path for pods whose cards the policy alone picks.
    """

    gate: Callable[[DeviceRequest, FitContext], Reason | None] | None = None
    rules: tuple[Rule, ...] = ()
    chooser: Chooser | None = None
    chooses: Callable[[PodRequest, DeviceRequest], bool] = lambda _pod, _request: False
    partitioner: Partitioner | None = None
    node_scorer: NodeScorer | None = None
    effective_cores: Callable[[Device, FitContext], int] | None = None  # core total to check against (Ascend soft mode)


# ---- placement, allocation, isolation ------------------------------------------------------------------------------


class PlacementWriter(Protocol):
    """Adds vendor annotations to what a bind writes (profiles, indexes). Times are the caller's: pure otherwise."""

    def __call__(
        self, placement: Placement, devices: Mapping[str, Device], pod: PodRequest, now_ns: int
    ) -> Mapping[str, str]:
        """Return annotation key -> value; `devices` is by uuid, `now_ns` unix time."""
        ...


@attrs.frozen(kw_only=True)
class Mount:
    """A bind mount into the container."""

    host_path: str
    container_path: str
    read_only: bool = True


@attrs.frozen(kw_only=True)
class ContainerEdits:
    """What a container needs to use its share: the node's answer to kubelet, and `hami run`'s environment.

    `files` are read-only files to be made before the container starts, path below the folder of its limits file ->
    text; a mount must name what the container shall see of them. `cores_elsewhere` says that the driver or the firmware
    holds the container to its cores: the isolation library, which would take the share of a share, then only counts.
    """

    env: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    mounts: tuple[Mount, ...] = ()
    device_nodes: tuple[tuple[str, str], ...] = ()  # path, cgroup permissions
    annotations: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    files: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    cores_elsewhere: bool = False


@attrs.frozen(kw_only=True)
class AllocationContext:
    """Where the allocation takes place: host paths and node settings the vendor's edits refer to.

    `files` are those that this container's edits had before, `others` those of the other containers of the family on
    this node: what a vendor must not give out twice is in them. `pod_annotations` are empty outside a cluster.
    """

    shares: tuple[DeviceShare, ...]
    devices: Mapping[str, Device] = attrs.field(hash=False)
    limits_file: Path
    region_file: Path
    priority: int | None = None
    core_policy: str = "default"
    oversubscribe: bool = False
    files: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    others: tuple[Mapping[str, str], ...] = attrs.field(default=(), hash=False)
    pod_annotations: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    settings: Mapping[str, Any] = attrs.field(factory=dict, hash=False)


@runtime_checkable
class Allocator(Protocol):
    """Turns shares into edits for one container. Pure: the caller writes the files it names."""

    def __call__(self, context: AllocationContext) -> ContainerEdits:
        """Return the edits for the container that holds `context.shares`."""
        ...
