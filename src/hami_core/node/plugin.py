"""kubelet's device plugin API for one family: what kubelet asks, in its words; who binds answers it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, NoReturn

import grpc

from hami_core.errors import HamiError
from hami_core.node.api.v1beta1 import deviceplugin_pb2 as wire
from hami_core.node.api.v1beta1.deviceplugin_pb2_grpc import DevicePluginServicer
from hami_core.node.assignment import Refused
from hami_core.node.binder import Binder
from hami_core.node.ids import Replica, preferred

OPTIONS = wire.DevicePluginOptions(pre_start_required=True, get_preferred_allocation_available=True)

_HEALTH = {True: "Healthy", False: "Unhealthy"}
_log = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]


class DevicePlugin(DevicePluginServicer):
    """Serves one resource.

    Args:
        binder: how the family's ids become shares.
        current: the replicas as they are now; `changed` says when to ask again.
    """

    def __init__(self, binder: Binder, current: Callable[[], tuple[Replica, ...]]) -> None:
        self._binder = binder
        self._current = current
        self._change = asyncio.Event()

    @property
    def resource(self) -> str:
        """The resource's name."""
        return self._binder.loaded.family.resources.count

    def changed(self) -> None:
        """Let every listener look at the replicas again."""
        self._change.set()
        self._change = asyncio.Event()

    async def GetDevicePluginOptions(self, request: wire.Empty, context: Context) -> wire.DevicePluginOptions:
        """What kubelet may call."""
        return OPTIONS

    async def ListAndWatch(self, request: wire.Empty, context: Context) -> AsyncIterator[wire.ListAndWatchResponse]:
        """The replicas, now and whenever they change."""
        told: tuple[Replica, ...] | None = None
        while True:
            change, now = self._change, self._current()
            if now != told:
                told = now
                yield wire.ListAndWatchResponse(devices=[_device(replica) for replica in now])
            await change.wait()

    async def GetPreferredAllocation(
        self, request: wire.PreferredAllocationRequest, context: Context
    ) -> wire.PreferredAllocationResponse:
        """Which free ids to take."""
        return wire.PreferredAllocationResponse(
            container_responses=[
                wire.ContainerPreferredAllocationResponse(
                    deviceIDs=preferred(asked.available_deviceIDs, asked.must_include_deviceIDs, asked.allocation_size)
                )
                for asked in request.container_requests
            ]
        )

    async def Allocate(self, request: wire.AllocateRequest, context: Context) -> wire.AllocateResponse:
        """What containers with these ids will get."""
        asked = [frozenset(container.devices_ids) for container in request.container_requests]
        try:
            return wire.AllocateResponse(container_responses=await self._binder.allocate(asked))
        except (HamiError, OSError) as err:
            await self._refuse(context, err)

    async def PreStartContainer(
        self, request: wire.PreStartContainerRequest, context: Context
    ) -> wire.PreStartContainerResponse:
        """Everything is in place when this returns."""
        try:
            await self._binder.start(frozenset(request.devices_ids))
        except (HamiError, OSError) as err:
            await self._refuse(context, err)
        return wire.PreStartContainerResponse()

    async def _refuse(self, context: Context, err: Exception) -> NoReturn:
        """End the call: for good where what was assigned is wrong, else for now; kubelet shows the text."""
        code = grpc.StatusCode.FAILED_PRECONDITION if isinstance(err, Refused) else grpc.StatusCode.UNAVAILABLE
        _log.warning("%s: %s", self.resource, err)
        await context.abort(code, str(err))


def _device(replica: Replica) -> wire.Device:
    topology = None if replica.numa is None else wire.TopologyInfo(nodes=[wire.NUMANode(ID=replica.numa)])
    return wire.Device(ID=replica.id, health=_HEALTH[replica.healthy], topology=topology)
