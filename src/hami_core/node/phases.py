"""HAMi's books on the pod: what is still to be allocated, and whether the binding succeeded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hami_core.errors import ApiFailed
from hami_core.kube.api import pod_path
from hami_core.kube.records import Meta
from hami_core.placement import ALLOCATING, BIND_PHASE
from hami_core.wire.pod_devices import decode_pod_devices, encode_pod_devices

if TYPE_CHECKING:
    from hami_core.kube.api import ApiServer
    from hami_core.node.assignment import Assignment
    from hami_core.objects import PodFacts
    from hami_core.registry import Registry

SUCCESS = "success"
FAILED = "failed"

_CONFLICT = 409
_TRIES = 5


class _Pod(msgspec.Struct, kw_only=True):
    metadata: Meta


async def mark_allocated(api: ApiServer, registry: Registry, assignment: Assignment) -> bool:
    """Empty the container's entry in to-allocate; with the last one of all families the phase becomes success.

    Returns:
        Whether nothing is left to allocate.

    Raises:
        ApiFailed: the pod cannot be read or written.
        BadWire: its annotation is malformed.
    """
    family = registry.family(assignment.family).family
    key = family.wire.to_allocate
    path = pod_path(assignment.pod.namespace, assignment.pod.name)
    for last in (*[False] * (_TRIES - 1), True):
        meta = msgspec.json.decode(await api.get(path), type=_Pod).metadata
        annotations = dict(meta.annotations or {})
        changed: dict[str, str] = {}
        if key is not None and key in annotations:
            what = f"{assignment.pod.where}: annotation {key}"
            waiting = list(decode_pod_devices(annotations[key], what=what))
            if assignment.position < len(waiting) and waiting[assignment.position]:
                waiting[assignment.position] = ()
                changed[key] = encode_pod_devices(waiting, family=family.name)
        left = _left({**annotations, **changed}, registry)
        if not left and annotations.get(BIND_PHASE) == ALLOCATING:
            changed[BIND_PHASE] = SUCCESS
        if not changed:
            return not left
        metadata = {"resourceVersion": meta.resource_version, "uid": assignment.pod.uid, "annotations": changed}
        try:
            await api.patch(path, {"metadata": metadata})
        except ApiFailed as err:
            if err.status != _CONFLICT or last:
                raise
        else:
            return not left
    raise AssertionError("the last try returns or raises")


async def mark_failed(api: ApiServer, pod: PodFacts) -> None:
    """Say that the pod's devices could not be allocated. Raises ApiFailed."""
    metadata = {"uid": pod.uid, "annotations": {BIND_PHASE: FAILED}}
    await api.patch(pod_path(pod.namespace, pod.name), {"metadata": metadata})


def _left(annotations: dict[str, str], registry: Registry) -> bool:
    """Whether any family still has something to allocate."""
    keys = {loaded.family.wire.to_allocate for loaded in registry.families.values()} - {None}
    return any("," in annotations.get(key, "") for key in keys if key is not None)
