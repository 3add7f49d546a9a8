"""Who holds which ids: kubelet's pod-resources, the only place that knows it for certain."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import attrs
import grpc

from hami_core.errors import HamiError
from hami_core.node.api.v1.podresources_pb2 import ListPodResourcesRequest
from hami_core.node.api.v1.podresources_pb2_grpc import PodResourcesListerStub

_TIMEOUT_S = 10.0
_MOST_BYTES = 16 << 20  # kubelet's own client allows as much


class KubeletSilent(HamiError):
    """kubelet's pod-resources API does not answer."""


@attrs.frozen(kw_only=True)
class Holder:
    """A container, and the ids of one resource that kubelet gave it."""

    namespace: str
    pod: str
    container: str
    resource: str
    ids: frozenset[str]

    @property
    def where(self) -> str:
        """How messages call the container."""
        return f"pod {self.namespace}/{self.pod}, container {self.container}"


async def read_holders(socket: Path) -> tuple[Holder, ...]:
    """Every container on this node with ids of any resource.

    Raises:
        KubeletSilent: no answer.
    """
    options = (("grpc.max_receive_message_length", _MOST_BYTES),)
    try:
        async with grpc.aio.insecure_channel(f"unix:{socket}", options=options) as channel:
            answer = await PodResourcesListerStub(channel).List(ListPodResourcesRequest(), timeout=_TIMEOUT_S)
    except grpc.aio.AioRpcError as err:
        raise KubeletSilent(f"{socket}: {err.code().name}: {err.details()}") from err
    found: dict[tuple[str, str, str, str], set[str]] = {}
    for pod in answer.pod_resources:
        for container in pod.containers:
            for devices in container.devices:
                # kubelet makes an entry for each NUMA node.
                place = pod.namespace, pod.name, container.name, devices.resource_name
                found.setdefault(place, set()).update(devices.device_ids)
    return tuple(
        Holder(namespace=place[0], pod=place[1], container=place[2], resource=place[3], ids=frozenset(ids))
        for place, ids in sorted(found.items())
    )


def holders_of(holders: Iterable[Holder], resource: str, ids: frozenset[str]) -> tuple[Holder, ...]:
    """Those that hold exactly these ids."""
    return tuple(holder for holder in holders if holder.resource == resource and holder.ids == ids)
