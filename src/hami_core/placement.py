"""What is written on a pod when it gets its place: HAMi's annotations, so that HAMi's tools and plugins read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hami_core.model import Device, Placement, PodRequest
from hami_core.wire.pod_devices import encode_pod_devices

if TYPE_CHECKING:
    from hami_core.registry import Registry

NODE = "hami.io/vgpu-node"
TIME = "hami.io/vgpu-time"
BIND_PHASE = "hami.io/bind-phase"
BIND_TIME = "hami.io/bind-time"

ALLOCATING = "allocating"


def placement_annotations(
    placement: Placement, pod: PodRequest, registry: Registry, devices: Mapping[str, Device], *, now_ns: int
) -> dict[str, str]:
    """Annotations that say where a pod goes and what it gets.

    Args:
        placement: the decision.
        pod: what was asked for.
        registry: the families, for their annotation keys and writers.
        devices: the node's devices by uuid.
        now_ns: unix time in nanoseconds.

    Raises:
        BadWire: a uuid that the annotation's grammar cannot carry.
        UnknownName: a share of a family that no plugin declares.
    """
    written = {NODE: placement.node, TIME: str(now_ns // 10**9)}
    for name in placement.families:
        loaded = registry.family(name)
        text = encode_pod_devices(placement.shares_of(name), family=name)
        written[loaded.family.wire.allocated] = text
        if loaded.family.wire.to_allocate is not None:
            written[loaded.family.wire.to_allocate] = text
        if loaded.place is not None:
            written.update(loaded.place(placement, devices, pod, now_ns))
    return dict(sorted(written.items()))


def bind_annotations(now_ns: int) -> dict[str, str]:
    """Annotations that hand the pod to the node's device plugin."""
    return {BIND_PHASE: ALLOCATING, BIND_TIME: str(now_ns // 10**9)}
