"""The parts of Kubernetes objects that the core reads, as frozen values.

Built from the JSON of the API (dicts), from a file or a watch, by tolerant readers: an absent or wrongly typed optional
part reads as absent, because one odd object must not stop the others. No Kubernetes client is imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import attrs

from hami_core.errors import BadWire, shown
from hami_core.model import ContainerKind

_EMPTY: Mapping[str, Any] = MappingProxyType({})
# Nearly every object comes from JSON: asking for dict first spares the slow test of an abstract class.
_MAPPING = (dict, Mapping)
_SEQUENCE = (list, Sequence)


@attrs.frozen(kw_only=True)
class NodeFacts:
    """A node: its name and what vendors read from it."""

    name: str
    annotations: Mapping[str, str] = attrs.field(default=_EMPTY, hash=False)
    labels: Mapping[str, str] = attrs.field(default=_EMPTY, hash=False)
    capacity: Mapping[str, Any] = attrs.field(default=_EMPTY, hash=False)
    allocatable: Mapping[str, Any] = attrs.field(default=_EMPTY, hash=False)


@attrs.frozen(kw_only=True)
class ContainerFacts:
    """A container as written: resources still in the user's own spelling."""

    name: str
    kind: ContainerKind = ContainerKind.APP
    limits: Mapping[str, Any] = attrs.field(default=_EMPTY, hash=False)
    requests: Mapping[str, Any] = attrs.field(default=_EMPTY, hash=False)
    env: tuple[str, ...] = ()  # names only
    privileged: bool = False

    def asked(self, resource: str | None) -> Any | None:
        """The quantity of `resource`, limits before requests, or None where neither names it."""
        if not resource:
            return None
        value = self.limits.get(resource)
        return self.requests.get(resource) if value is None else value


@attrs.frozen(kw_only=True)
class PodFacts:
    """A pod: identity, the containers (init first, as on the wire), and where it stands."""

    namespace: str = "default"
    name: str
    uid: str = ""
    annotations: Mapping[str, str] = attrs.field(default=_EMPTY, hash=False)
    labels: Mapping[str, str] = attrs.field(default=_EMPTY, hash=False)
    containers: tuple[ContainerFacts, ...] = ()
    scheduler_name: str = ""
    node_name: str = ""
    runtime_class: str | None = None
    phase: str = ""
    deleting: bool = False
    init_done: bool = False  # every init container has ended with exit code 0

    @property
    def key(self) -> str:
        """The uid, or ``namespace/name`` where there is none."""
        return self.uid or f"{self.namespace}/{self.name}"

    @property
    def where(self) -> str:
        """How messages call this pod."""
        return f"pod {self.namespace}/{self.name}"

    @property
    def finished(self) -> bool:
        """Whether the pod has ended and holds nothing any more."""
        return self.phase in ("Succeeded", "Failed")


def read_node(item: Mapping[str, Any]) -> NodeFacts:
    """Read a Node.

    Raises:
        BadWire: no usable ``metadata.name``.
    """
    metadata, status = _map(item, "metadata"), _map(item, "status")
    return NodeFacts(
        name=_name(item, metadata),
        annotations=_texts(metadata, "annotations"),
        labels=_texts(metadata, "labels"),
        capacity=_map(status, "capacity"),
        allocatable=_map(status, "allocatable"),
    )


def read_pod(item: Mapping[str, Any]) -> PodFacts:
    """Read a Pod.

    Raises:
        BadWire: no usable ``metadata.name``.
    """
    metadata, spec, status = _map(item, "metadata"), _map(item, "spec"), _map(item, "status")
    inits = [_container(raw, init=True) for raw in _maps(spec, "initContainers")]
    return PodFacts(
        namespace=_text(metadata, "namespace") or "default",
        name=_name(item, metadata),
        uid=_text(metadata, "uid"),
        annotations=_texts(metadata, "annotations"),
        labels=_texts(metadata, "labels"),
        containers=(*inits, *(_container(raw, init=False) for raw in _maps(spec, "containers"))),
        scheduler_name=_text(spec, "schedulerName"),
        node_name=_text(spec, "nodeName"),
        runtime_class=_text(spec, "runtimeClassName") or None,
        phase=_text(status, "phase"),
        deleting=metadata.get("deletionTimestamp") is not None,
        init_done=bool(inits) and _inits_done(status, len(inits)),
    )


def object_name(item: Mapping[str, Any]) -> tuple[str, str]:
    """Namespace and name of any object; the namespace ``default`` where it has none.

    Raises:
        BadWire: no usable ``metadata.name``.
    """
    metadata = _map(item, "metadata")
    return _text(metadata, "namespace") or "default", _name(item, metadata)


def items(document: object) -> Iterator[Mapping[str, Any]]:
    """Flatten a document (object, List, or sequence of either) into objects; anything else yields nothing."""
    if isinstance(document, _MAPPING):
        inner = document.get("items")
        if isinstance(inner, _SEQUENCE) and not isinstance(inner, str | bytes):
            yield from items(inner)
        else:
            yield document
    elif isinstance(document, _SEQUENCE) and not isinstance(document, str | bytes):
        for entry in document:
            yield from items(entry)


def _container(raw: Mapping[str, Any], *, init: bool) -> ContainerFacts:
    kind = ContainerKind.APP
    if init:
        kind = ContainerKind.SIDECAR if raw.get("restartPolicy") == "Always" else ContainerKind.INIT
    resources = _map(raw, "resources")
    return ContainerFacts(
        name=_text(raw, "name"),
        kind=kind,
        limits=_map(resources, "limits"),
        requests=_map(resources, "requests"),
        env=tuple(_text(entry, "name") for entry in _maps(raw, "env")),
        privileged=_map(raw, "securityContext").get("privileged") is True,
    )


def _inits_done(status: Mapping[str, Any], expected: int) -> bool:
    states = _maps(status, "initContainerStatuses")
    codes = [_map(_map(state, "state"), "terminated").get("exitCode") for state in states]
    return len(codes) == expected and all(code == 0 and code is not False for code in codes)


def _name(item: Mapping[str, Any], metadata: Mapping[str, Any]) -> str:
    name = _text(metadata, "name") or _text(metadata, "generateName")
    if not name:
        raise BadWire(what=f"{shown(item.get('kind', 'object'))}", problem="metadata.name is missing")
    return name


def _map(raw: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = raw.get(key)
    return value if isinstance(value, _MAPPING) else _EMPTY


def _maps(raw: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = raw.get(key)
    if not isinstance(value, _SEQUENCE) or isinstance(value, str | bytes):
        return []
    return [entry for entry in value if isinstance(entry, _MAPPING)]


def _text(raw: Mapping[str, Any], key: str) -> str:
    value = raw.get(key)
    return value if isinstance(value, str) else ""


def _texts(raw: Mapping[str, Any], key: str) -> Mapping[str, str]:
    return {str(name): value for name, value in _map(raw, key).items() if isinstance(value, str)}
