"""What the cache reads of API objects: small structs that skip everything else, turned into the core's facts."""

from __future__ import annotations

from typing import Any

import msgspec

from hami_core.errors import BadWire
from hami_core.model import ContainerKind
from hami_core.objects import ContainerFacts, NodeFacts, PodFacts, read_node, read_pod

# gc=False, frozen=True: there are no cycles in API objects, and the collector's share of decoding is the larger one.


class Meta(msgspec.Struct, kw_only=True, gc=False, frozen=True, rename="camel"):
    """Metadata, as far as it is read."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    annotations: dict[str, str] | None = None
    labels: dict[str, str] | None = None
    deletion_timestamp: str | None = None


class _Container(msgspec.Struct, kw_only=True, gc=False, frozen=True, rename="camel"):
    name: str = ""
    restart_policy: str | None = None


class _PodSpec(msgspec.Struct, kw_only=True, gc=False, frozen=True, rename="camel"):
    node_name: str = ""
    scheduler_name: str = ""
    init_containers: list[_Container] | None = None
    containers: list[_Container] | None = None


class _Terminated(msgspec.Struct, kw_only=True, gc=False, frozen=True, rename="camel"):
    exit_code: int = 0


class _State(msgspec.Struct, kw_only=True, gc=False, frozen=True):
    terminated: _Terminated | None = None


class _ContainerStatus(msgspec.Struct, kw_only=True, gc=False, frozen=True):
    state: _State = _State()


class _PodStatus(msgspec.Struct, kw_only=True, gc=False, frozen=True, rename="camel"):
    phase: str = ""
    init_container_statuses: list[_ContainerStatus] | None = None


class _Pod(msgspec.Struct, kw_only=True, gc=False, frozen=True):
    metadata: Meta
    spec: _PodSpec = _PodSpec()
    status: _PodStatus = _PodStatus()


class _NodeStatus(msgspec.Struct, kw_only=True, gc=False, frozen=True):
    capacity: dict[str, str] | None = None
    allocatable: dict[str, str] | None = None


class _Node(msgspec.Struct, kw_only=True, gc=False, frozen=True):
    metadata: Meta
    status: _NodeStatus = _NodeStatus()


_pods = msgspec.json.Decoder(_Pod)
_nodes = msgspec.json.Decoder(_Node)


def decode_pod(data: bytes | msgspec.Raw) -> PodFacts:
    """Read a pod as the cache needs it: containers have names and kinds only.

    Raises:
        BadWire: not a pod.
    """
    try:
        pod = _pods.decode(data)
    except msgspec.ValidationError:
        return read_pod(_loose(data))
    except msgspec.DecodeError as err:
        raise BadWire(what="pod", problem=str(err)) from err
    meta, spec, status = pod.metadata, pod.spec, pod.status
    inits = spec.init_containers or ()
    return PodFacts(
        namespace=meta.namespace or "default",
        name=meta.name,
        uid=meta.uid,
        annotations=meta.annotations or {},
        labels=meta.labels or {},
        containers=(
            *(ContainerFacts(name=init.name, kind=_init_kind(init)) for init in inits),
            *(ContainerFacts(name=container.name) for container in spec.containers or ()),
        ),
        scheduler_name=spec.scheduler_name,
        node_name=spec.node_name,
        phase=status.phase,
        deleting=meta.deletion_timestamp is not None,
        init_done=bool(inits) and _inits_done(status.init_container_statuses or [], len(inits)),
    )


def decode_node(data: bytes | msgspec.Raw) -> NodeFacts:
    """Read a node.

    Raises:
        BadWire: not a node.
    """
    try:
        node = _nodes.decode(data)
    except msgspec.ValidationError:
        return read_node(_loose(data))
    except msgspec.DecodeError as err:
        raise BadWire(what="node", problem=str(err)) from err
    return NodeFacts(
        name=node.metadata.name,
        annotations=node.metadata.annotations or {},
        labels=node.metadata.labels or {},
        capacity=node.status.capacity or {},
        allocatable=node.status.allocatable or {},
    )


def decode_object(data: bytes | msgspec.Raw) -> dict[str, Any]:
    """Read any object as plain JSON data.

    Raises:
        BadWire: not a JSON object.
    """
    return _loose(data)


def _loose(data: bytes | msgspec.Raw) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as err:
        raise BadWire(what="object", problem=str(err)) from err
    if not isinstance(found, dict):
        raise BadWire(what="object", problem="must be a JSON object")
    return found


def _init_kind(init: _Container) -> ContainerKind:
    return ContainerKind.SIDECAR if init.restart_policy == "Always" else ContainerKind.INIT


def _inits_done(states: list[_ContainerStatus], expected: int) -> bool:
    ended = [state.state.terminated for state in states]
    return len(ended) == expected and all(end is not None and end.exit_code == 0 for end in ended)
