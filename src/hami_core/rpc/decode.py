"""Messages to values. What cannot be meant is refused here, with its place, before it can touch the state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from google.protobuf import struct_pb2
from google.protobuf.message import Message

from hami_core import requests
from hami_core.admission import AdmissionSettings, admit
from hami_core.errors import AdmissionRefused, BadQuantity, BadWire, shown
from hami_core.inventory import NodeInventory
from hami_core.model import (
    ContainerKind,
    ContainerRequest,
    ContainerShares,
    Device,
    DeviceRequest,
    DeviceShare,
    Partition,
    PartitionPlacement,
    PartitionProfile,
    Placement,
    PodRequest,
    ScoringWeights,
    Selector,
)
from hami_core.objects import NodeFacts, read_pod
from hami_core.registry import Registry
from hami_core.rpc.fit.v1 import fit_pb2
from hami_core.units import INT32_MAX

Item = TypeVar("Item")
Built = TypeVar("Built")

MAX_HOLD_S = 86_400.0
DEFAULT_HOLD_S = 60.0

_KINDS = {
    fit_pb2.CONTAINER_KIND_UNSPECIFIED: ContainerKind.APP,
    fit_pb2.CONTAINER_KIND_INIT: ContainerKind.INIT,
    fit_pb2.CONTAINER_KIND_SIDECAR: ContainerKind.SIDECAR,
    fit_pb2.CONTAINER_KIND_APP: ContainerKind.APP,
}


def kubernetes_object(raw: bytes, kind: str) -> Mapping[str, Any]:
    """Read the JSON of one Kubernetes object.

    Raises:
        BadWire: not JSON, not an object, or an object of another kind. A missing ``kind`` is accepted, because typed
            clients leave it out.
    """
    what = f"{kind} object"
    try:
        document = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as err:
        raise BadWire(what=what, problem=f"not JSON: {err}") from err
    except RecursionError:
        raise BadWire(what=what, problem="not a Kubernetes object: nested too deeply") from None
    if not isinstance(document, dict):
        raise BadWire(what=what, problem=f"must be a JSON object; got {shown(document)}")
    if document.get("kind", kind) != kind:
        raise BadWire(what=what, problem=f"kind must be {kind}; got {shown(document['kind'])}")
    return document


def kubernetes_request(raw: bytes, registry: Registry) -> PodRequest:
    """Read what a Kubernetes pod asks for, completed as HAMi's webhook does; a pod that it has seen stays as it is.

    Raises:
        AdmissionRefused: the webhook would not let it in.
        BadWire: not a pod.
    """
    item = kubernetes_object(raw, "Pod")
    # The pod is ours whatever scheduler it names: whoever asks here is that scheduler.
    settings = AdmissionSettings(scheduler_name=read_pod(item).scheduler_name)
    admission = admit(item, registry, settings)
    if not admission.admitted:
        raise AdmissionRefused(admission.message)
    return requests.pod_request(read_pod(admission.pod), registry)


def explicit_node(node: fit_pb2.Node) -> NodeInventory:
    """Read a node that is given as its devices.

    Raises:
        BadWire: no name, or a device that cannot be.
        BadQuantity: more than any card has.
    """
    name = required(node, "name", "node")
    facts = NodeFacts(name=name, labels=dict(node.labels), annotations=dict(node.annotations))
    return NodeInventory(node=facts, devices=_each(_device, node.devices, f"node {shown(name)}, device"))


def pod_request(request: fit_pb2.PodRequest) -> PodRequest:
    """Read a pod that is given as its request.

    Raises:
        BadWire: a part is missing or cannot be.
        BadQuantity: more than any card has.
    """
    name = required(request, "name", "pod")
    where = f"pod {shown(name)}"
    containers = _each(_container_request, request.containers, f"{where}, container")
    return PodRequest(
        name=name,
        containers=containers,
        weights=_build(ScoringWeights, where, **_present(request.weights, "slot", "core", "memory")),
        selectors={family: _selector(item) for family, item in sorted(request.selectors.items())},
        annotations=dict(request.annotations),
        **_present(request, "namespace", "uid", "node_policy", "device_policy"),
    )


def placement(message: fit_pb2.Placement, where: str) -> Placement:
    """Read where a pod is.

    Raises:
        BadWire: no node, or a share that cannot be.
        BadQuantity: more than any card has.
    """
    node = required(message, "node", where)
    containers = _each(_container_shares, message.containers, f"{where}, container")
    return Placement(node=node, containers=containers)


def candidates(message: fit_pb2.DecideRequest | fit_pb2.ReserveRequest) -> Sequence[str] | None:
    """Names of the nodes to choose from, without repetition; None where the request names no candidates at all."""
    return tuple(dict.fromkeys(message.candidates.nodes)) if message.HasField("candidates") else None


def hold_s(message: fit_pb2.ReserveRequest) -> float:
    """How long to hold a reservation.

    Raises:
        BadQuantity: not a number of seconds that a reservation may last.
    """
    if not message.HasField("hold_s"):
        return DEFAULT_HOLD_S
    if not 0 < message.hold_s <= MAX_HOLD_S:  # also false for NaN
        wanted = f"more than 0 and at most {MAX_HOLD_S:g} seconds"
        raise BadQuantity(where="ReserveRequest.hold_s", wanted=wanted, found=message.hold_s)
    return message.hold_s


def required(message: Message, field: str, where: str) -> str:
    """The text of a field that must not be empty.

    Raises:
        BadWire: it is.
    """
    value: str = getattr(message, field)
    if not value:
        raise BadWire(what=where, problem=f"{message.DESCRIPTOR.name}.{field} is missing")
    return value


def which(message: Message, group: str, where: str) -> str:
    """Name of the member of the oneof `group` that is set.

    Raises:
        BadWire: none is; the text lists them.
    """
    member = message.WhichOneof(group)
    if member is None:
        members = " or ".join(field.name for field in message.DESCRIPTOR.oneofs_by_name[group].fields)
        raise BadWire(what=where, problem=f"{message.DESCRIPTOR.name}.{group} is missing; set {members}")
    return str(member)


def _device(card: fit_pb2.Device, where: str) -> Device:
    where = f"{where} ({shown(card.uuid)})" if card.uuid else where
    return _build(
        Device,
        where,
        uuid=card.uuid,
        family=card.family,
        model=card.model,
        index=card.index,
        memory_mib=_mib(card.memory_mib, where),
        healthy=not card.unhealthy,
        profiles=tuple(_profile(item, f"{where}, profile {shown(item.name)}") for item in card.profiles),
        custom=_plain(card.custom),
        **_present(card, "core_units", "slots", "numa", "mode"),
    )


def _profile(item: fit_pb2.PartitionProfile, where: str) -> PartitionProfile:
    return _build(
        PartitionProfile,
        where,
        name=item.name,
        memory_mib=_mib(item.memory_mib, where),
        core_units=item.core_units,
        slice_count=item.slice_count,
        placements=tuple(_partition_placement(place, where) for place in item.placements),
    )


def _partition_placement(item: fit_pb2.PartitionPlacement, where: str) -> PartitionPlacement:
    return _build(PartitionPlacement, where, start=item.start, size=item.size)


def _container_request(item: fit_pb2.ContainerRequest, where: str) -> ContainerRequest:
    devices = tuple(_device_request(asked, where) for asked in item.devices)
    return _build(ContainerRequest, where, name=item.name, kind=_kind(item.kind, where), devices=devices)


def _device_request(item: fit_pb2.DeviceRequest, where: str) -> DeviceRequest:
    memory = which(item, "memory", where)
    amount = _mib(item.memory_mib, where) if memory == "memory_mib" else item.memory_percent
    return _build(
        DeviceRequest, where, family=item.family, count=item.count, core_units=item.core_units, **{memory: amount}
    )


def _selector(item: fit_pb2.Selector) -> Selector:
    return Selector(
        allow_types=tuple(item.allow_types),
        deny_types=tuple(item.deny_types),
        allow_uuids=tuple(item.allow_uuids),
        deny_uuids=tuple(item.deny_uuids),
        numa_bind=item.numa_bind,
        **_present(item, "mode"),
    )


def _container_shares(item: fit_pb2.ContainerShares, where: str) -> ContainerShares:
    shares = {
        family: _each(_device_share, held.shares, f"{where}, {shown(family)} share")
        for family, held in sorted(item.shares.items())
    }
    return _build(ContainerShares, where, name=item.name, kind=_kind(item.kind, where), shares=shares)


def _device_share(item: fit_pb2.DeviceShare, where: str) -> DeviceShare:
    partition = None
    if item.HasField("partition"):
        place = _partition_placement(item.partition.placement, where)
        partition = _build(Partition, where, profile=item.partition.profile, placement=place)
    return _build(
        DeviceShare,
        where,
        uuid=item.uuid,
        memory_mib=_mib(item.memory_mib, where),
        core_units=item.core_units,
        partition=partition,
    )


def _kind(number: int, where: str) -> ContainerKind:
    kind = _KINDS.get(fit_pb2.ContainerKind.ValueType(number))
    if kind is None:
        raise BadWire(what=where, problem=f"container kind {number} is not known here; known: 1 to {len(_KINDS) - 1}")
    return kind


def _mib(value: int, where: str) -> int:
    if not 0 <= value <= INT32_MAX:
        raise BadQuantity(where=f"{where}: memory_mib", wanted=f"0 to {INT32_MAX} MiB", found=value)
    return value


def _plain(custom: struct_pb2.Struct) -> Mapping[str, Any]:
    """A Struct as plain values. It holds only doubles, so whole ones become ints again, as JSON would give them."""

    def plain(value: struct_pb2.Value) -> Any:
        kind = value.WhichOneof("kind")
        if kind == "struct_value":
            return _plain(value.struct_value)
        if kind == "list_value":
            return [plain(item) for item in value.list_value.values]
        if kind == "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        return None if kind in (None, "null_value") else getattr(value, kind)

    return {name: plain(value) for name, value in sorted(custom.fields.items())}


def _present(message: Message, *fields: str) -> dict[str, Any]:
    """Values of the optional fields that are there, so that the value class supplies the defaults of the others."""
    return {field: getattr(message, field) for field in fields if message.HasField(field)}


def _each(read: Callable[[Item, str], Built], items: Iterable[Item], where: str) -> tuple[Built, ...]:
    """Read every item, with its number as the place."""
    return tuple(read(item, f"{where} {at}") for at, item in enumerate(items))


def _build(cls: Callable[..., Built], where: str, **fields: Any) -> Built:
    """Make a value; what its validators refuse is the sender's mistake, so it says where."""
    try:
        return cls(**fields)
    except ValueError as err:
        raise BadWire(what=where, problem=str(err)) from err
