"""A kubelet for tests of device plugins: the parts of one that a plugin talks to, on sockets in a folder.

It takes registrations, watches the devices, admits containers the way kubelet does (preferred ids, Allocate, then the
container appears in checkpoint and pod-resources, then PreStartContainer before each start), and can be restarted.
As in kubelet, an ordinary init container is not listed in pod-resources, and its ids go to later containers of its pod.
`tests/kubelet` runs the same agent on the real one, 1.37.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import grpc

from hami_core.node.api.v1 import podresources_pb2 as resources
from hami_core.node.api.v1.podresources_pb2_grpc import (
    PodResourcesListerServicer,
    add_PodResourcesListerServicer_to_server,
)
from hami_core.node.api.v1beta1 import deviceplugin_pb2 as wire
from hami_core.node.api.v1beta1.deviceplugin_pb2_grpc import (
    DevicePluginStub,
    RegistrationServicer,
    add_RegistrationServicer_to_server,
)

if TYPE_CHECKING:
    from hami_core.node.api.v1beta1.deviceplugin_pb2_grpc import DevicePluginAsyncStub

CHECKPOINT = "kubelet_internal_checkpoint"

Context = grpc.aio.ServicerContext[Any, Any]


class CannotAdmit(Exception):
    """Too few healthy ids of a resource are free: kubelet's UnexpectedAdmissionError."""


@attrs.define(kw_only=True)
class _Endpoint:
    socket: Path
    options: wire.DevicePluginOptions
    devices: dict[str, str] = attrs.field(factory=dict)
    watch: asyncio.Task[None] | None = None


@attrs.frozen(kw_only=True)
class Admitted:
    """A container that was admitted: its ids, and what the plugin answered."""

    namespace: str
    pod: str
    container: str
    resource: str
    ids: tuple[str, ...]
    response: wire.ContainerAllocateResponse
    uid: str = ""
    init: bool = False


class FakeKubelet(RegistrationServicer, PodResourcesListerServicer):
    """A kubelet's device manager.

    Args:
        folder: where ``plugins/`` and ``pod-resources/`` are made; a short path, for sockets are in it.
    """

    def __init__(self, folder: Path) -> None:
        self.plugins = folder / "plugins"
        self.pod_resources = folder / "pod-resources" / "kubelet.sock"
        self.registrations: list[wire.RegisterRequest] = []
        self.admitted: list[Admitted] = []
        self._endpoints: dict[str, _Endpoint] = {}
        self._servers: list[grpc.aio.Server] = []

    # ---- what tests do -----------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start, emptying the folder of plugins first, as kubelet does."""
        self.plugins.mkdir(parents=True, exist_ok=True)
        self.pod_resources.parent.mkdir(parents=True, exist_ok=True)
        for file in self.plugins.iterdir():
            if file.name != CHECKPOINT:
                file.unlink()
        for socket, add in (
            (self.plugins / "kubelet.sock", add_RegistrationServicer_to_server),
            (self.pod_resources, add_PodResourcesListerServicer_to_server),
        ):
            socket.unlink(missing_ok=True)
            server = grpc.aio.server()
            add(self, server)
            server.add_insecure_port(f"unix:{socket}")
            await server.start()
            self._servers.append(server)

    async def stop(self) -> None:
        """Stop; what was admitted is remembered, as in kubelet's checkpoint."""
        for endpoint in self._endpoints.values():
            if endpoint.watch is not None:
                endpoint.watch.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await endpoint.watch
        self._endpoints.clear()
        for server in self._servers:
            await server.stop(0)
        self._servers.clear()

    def devices(self, resource: str) -> dict[str, str]:
        """Health by id, as the plugin last said; empty while none is registered."""
        endpoint = self._endpoints.get(resource)
        return {} if endpoint is None else dict(endpoint.devices)

    async def admit(
        self,
        namespace: str,
        pod: str,
        container: str,
        resource: str,
        count: int,
        *,
        ids: Sequence[str] = (),
        uid: str = "",
        init: bool = False,
    ) -> Admitted:
        """Give a container `count` ids (or exactly `ids`) and call Allocate.

        Args:
            namespace: the pod's.
            pod: the pod's name.
            container: the container's name; kubelet admits a pod's containers in their order, init containers first.
            resource: what it asks for.
            count: how many.
            ids: in the place of kubelet's choice.
            uid: the pod's; without it the checkpoint says nothing of the container.
            init: whether it is an init container that ends before the others start; a sidecar is none.

        Raises:
            CannotAdmit: there are not so many.
            grpc.aio.AioRpcError: the plugin refuses.
        """
        endpoint = self._endpoints[resource]
        async with self._plugin(endpoint) as plugin:
            reusable = self._reusable(namespace, pod, resource)
            chosen = tuple(ids) or await self._choose(plugin, endpoint, resource, count, reusable)
            request = wire.AllocateRequest(container_requests=[wire.ContainerAllocateRequest(devices_ids=chosen)])
            answer = await plugin.Allocate(request)
        (response,) = answer.container_responses
        admitted = Admitted(
            namespace=namespace,
            pod=pod,
            container=container,
            resource=resource,
            ids=chosen,
            response=response,
            uid=uid,
            init=init,
        )
        self.admitted.append(admitted)
        self._write_checkpoint()
        return admitted

    async def pre_start(self, admitted: Admitted) -> None:
        """Call what comes before each creation of the container.

        Raises:
            grpc.aio.AioRpcError: the plugin refuses; kubelet would not create the container.
        """
        endpoint = self._endpoints[admitted.resource]
        if endpoint.options.pre_start_required:
            async with self._plugin(endpoint) as plugin:
                await plugin.PreStartContainer(wire.PreStartContainerRequest(devices_ids=admitted.ids))

    def forget(self, namespace: str, pod: str) -> None:
        """Free what a pod's containers had."""
        self.admitted = [item for item in self.admitted if (item.namespace, item.pod) != (namespace, pod)]
        self._write_checkpoint()

    # ---- what plugins call -------------------------------------------------------------------------------------

    async def Register(self, request: wire.RegisterRequest, context: Context) -> wire.Empty:
        """Take a registration and begin to watch."""
        if request.version != "v1beta1":
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"version {request.version} is not supported")
        self.registrations.append(request)
        known = self._endpoints.get(request.resource_name)
        if known is not None and known.watch is not None:
            known.watch.cancel()
        endpoint = _Endpoint(socket=self.plugins / request.endpoint, options=request.options)
        self._endpoints[request.resource_name] = endpoint
        endpoint.watch = asyncio.create_task(self._watch(endpoint))
        return wire.Empty()

    async def List(
        self, request: resources.ListPodResourcesRequest, context: Context
    ) -> resources.ListPodResourcesResponse:
        """Which container holds which ids; with a NUMA node each, kubelet makes an entry for each id's."""
        pods: dict[tuple[str, str], resources.PodResources] = {}
        for item in self.admitted:
            if item.init:
                continue
            place = item.namespace, item.pod
            pod = pods.setdefault(place, resources.PodResources(namespace=item.namespace, name=item.pod))
            container = pod.containers.add(name=item.container)
            for number in item.ids:
                container.devices.add(resource_name=item.resource, device_ids=[number])
        return resources.ListPodResourcesResponse(pod_resources=[pods[place] for place in sorted(pods)])

    # ---- inside ------------------------------------------------------------------------------------------------

    async def _watch(self, endpoint: _Endpoint) -> None:
        with contextlib.suppress(grpc.aio.AioRpcError):
            async with self._plugin(endpoint) as plugin:
                async for answer in plugin.ListAndWatch(wire.Empty()):
                    endpoint.devices = {device.ID: device.health for device in answer.devices}
        # The plugin is gone: what it had stays, and nothing new is given out.
        endpoint.devices = dict.fromkeys(endpoint.devices, "Unhealthy")

    async def _choose(
        self, plugin: DevicePluginAsyncStub, endpoint: _Endpoint, resource: str, count: int, reusable: Sequence[str]
    ) -> tuple[str, ...]:
        """The pod's own reusable ids first, without asking; the plugin is asked for the others."""
        kept = tuple(reusable[:count])
        if len(kept) == count:
            return kept
        taken = {number for item in self.admitted if item.resource == resource for number in item.ids}
        free = [name for name, health in endpoint.devices.items() if health == "Healthy" and name not in taken]
        if len(free) < count - len(kept):
            raise CannotAdmit(f"requested {count} of {resource}, available {len(free)}")
        if not endpoint.options.get_preferred_allocation_available:
            return (*kept, *free)[:count]
        asked = wire.ContainerPreferredAllocationRequest(
            available_deviceIDs=[*kept, *free], must_include_deviceIDs=kept, allocation_size=count
        )
        answer = await plugin.GetPreferredAllocation(wire.PreferredAllocationRequest(container_requests=[asked]))
        return tuple(answer.container_responses[0].deviceIDs)

    def _reusable(self, namespace: str, pod: str, resource: str) -> list[str]:
        """Ids of the pod's init containers that no container holds that stays."""
        mine = [
            item for item in self.admitted if (item.namespace, item.pod, item.resource) == (namespace, pod, resource)
        ]
        kept = {number for item in mine if not item.init for number in item.ids}
        return sorted({number for item in mine if item.init for number in item.ids} - kept)

    def _write_checkpoint(self) -> None:
        """The file in which kubelet remembers what it gave out."""
        entries = [
            {
                "PodUID": item.uid,
                "ContainerName": item.container,
                "ResourceName": item.resource,
                "DeviceIDs": {"-1": list(item.ids)},
                "AllocResp": base64.b64encode(item.response.SerializeToString()).decode(),
            }
            for item in self.admitted
            if item.uid
        ]
        draft = self.plugins / f".{CHECKPOINT}"
        draft.write_text(json.dumps({"Data": {"PodDeviceEntries": entries, "RegisteredDevices": {}}, "Checksum": 0}))
        draft.replace(self.plugins / CHECKPOINT)

    @contextlib.asynccontextmanager
    async def _plugin(self, endpoint: _Endpoint) -> AsyncIterator[DevicePluginAsyncStub]:
        async with grpc.aio.insecure_channel(f"unix:{endpoint.socket}") as channel:
            yield DevicePluginStub(channel)
