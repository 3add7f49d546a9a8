"""The scheduler extender's JSON: fields have Go's names, as kube-scheduler writes and reads them."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from hami_core.errors import BadWire

T = TypeVar("T")


class NodeItems(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A list of nodes, each kept as the bytes it came in."""

    metadata: msgspec.Raw = msgspec.Raw(b"{}")
    items: list[msgspec.Raw] = []


class FilterArgs(msgspec.Struct, kw_only=True):
    """What kube-scheduler asks of filter and prioritize.

    `node_names` comes from a scheduler that is told ``nodeCacheCapable: true``, `nodes` from one that is not.
    """

    pod: msgspec.Raw = msgspec.field(name="Pod")
    nodes: NodeItems | None = msgspec.field(name="Nodes", default=None)
    node_names: list[str] | None = msgspec.field(name="NodeNames", default=None)


class FilterResult(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Which nodes fit; the failed ones with a reason, apart where evicting pods could not help."""

    nodes: NodeItems | None = msgspec.field(name="Nodes", default=None)
    node_names: list[str] | None = msgspec.field(name="NodeNames", default=None)
    failed: dict[str, str] = msgspec.field(name="FailedNodes", default_factory=dict)
    unresolvable: dict[str, str] = msgspec.field(name="FailedAndUnresolvableNodes", default_factory=dict)
    error: str = msgspec.field(name="Error", default="")


class HostPriority(msgspec.Struct, kw_only=True):
    """One node's score, 0 to 10."""

    host: str = msgspec.field(name="Host")
    score: int = msgspec.field(name="Score")


class BindArgs(msgspec.Struct, kw_only=True):
    """Which pod to bind to which node."""

    pod_name: str = msgspec.field(name="PodName")
    pod_namespace: str = msgspec.field(name="PodNamespace")
    pod_uid: str = msgspec.field(name="PodUID", default="")
    node: str = msgspec.field(name="Node")


class BindResult(msgspec.Struct, kw_only=True):
    """Empty where the pod is bound."""

    error: str = msgspec.field(name="Error", default="")


def decode_filter_args(body: bytes) -> FilterArgs:
    """Decode a filter or prioritize request.

    Raises:
        BadWire: not JSON, a field of another type, or neither nodes nor names of nodes.
    """
    args = _decode(body, FilterArgs, "filter request")
    if args.nodes is None and args.node_names is None:
        raise BadWire(what="filter request", problem="must carry NodeNames or Nodes; got neither")
    return args


def decode_bind_args(body: bytes) -> BindArgs:
    """Decode a bind request.

    Raises:
        BadWire: not JSON, a field of another type, or a name that is missing.
    """
    args = _decode(body, BindArgs, "bind request")
    for field, value in (("PodName", args.pod_name), ("PodNamespace", args.pod_namespace), ("Node", args.node)):
        if not value:
            raise BadWire(what="bind request", position=f"field {field}", problem="must not be empty")
    return args


def encode(answer: FilterResult | BindResult | list[HostPriority]) -> bytes:
    """Encode an answer."""
    return msgspec.json.encode(answer)


def _decode(body: bytes, kind: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as err:
        raise BadWire(what=what, problem=str(err)) from err
