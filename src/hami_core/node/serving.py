"""A device plugin on its socket, registered with kubelet, and registered again whenever kubelet started anew."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import grpc
import tenacity

from hami_core.node.api.v1beta1.deviceplugin_pb2 import RegisterRequest
from hami_core.node.api.v1beta1.deviceplugin_pb2_grpc import RegistrationStub, add_DevicePluginServicer_to_server
from hami_core.node.plugin import OPTIONS, DevicePlugin

KUBELET = "kubelet.sock"

_VERSION = "v1beta1"
_REGISTER_TIMEOUT_S = 10.0
_LOOK_EVERY_S = 1.0  # a kubelet that starts needs longer than that by itself
_GRACE_S = 2.0
_log = logging.getLogger(__name__)

Identity = tuple[int, int, int]


class PluginServer:
    """Serves one plugin for as long as it runs.

    Args:
        plugin: what to serve.
        folder: kubelet's folder of plugins.
        look_every_s: how often to see whether kubelet's socket is another one.
    """

    def __init__(self, plugin: DevicePlugin, folder: Path, *, look_every_s: float = _LOOK_EVERY_S) -> None:
        self.registered = 0
        self._plugin = plugin
        self._folder = folder
        self._look_every_s = look_every_s

    @property
    def socket(self) -> Path:
        """The plugin's own socket."""
        return self._folder / f"hami-{self._plugin.resource.replace('/', '-')}.sock"

    async def run(self) -> None:
        """Serve and register until cancelled."""
        retrying = tenacity.AsyncRetrying(
            wait=tenacity.wait_random_exponential(multiplier=0.2, max=10),
            retry=tenacity.retry_if_exception_type((grpc.aio.AioRpcError, OSError, RuntimeError)),
            before_sleep=self._note,
        )
        while True:
            # A round that ended by itself returns, so that the next failure starts with a short wait again.
            await retrying(self._round)

    async def _round(self) -> None:
        """Serve until kubelet's socket or our own is not the one it was: kubelet empties the folder as it starts."""
        kubelet = self._folder / KUBELET
        known = _identity(kubelet)
        if known is None:
            await asyncio.sleep(self._look_every_s)
            return
        # Over a unix socket grpc takes the name of a server that was killed.
        self.socket.unlink(missing_ok=True)
        server = grpc.aio.server()
        add_DevicePluginServicer_to_server(self._plugin, server)
        server.add_insecure_port(f"unix:{self.socket}")
        await server.start()
        mine = _identity(self.socket)
        try:
            await self._register(kubelet)
            while _identity(kubelet) == known and _identity(self.socket) == mine:
                await asyncio.sleep(self._look_every_s)
            _log.info("%s: kubelet started anew; registering again", self._plugin.resource)
        finally:
            await server.stop(_GRACE_S)

    async def _register(self, kubelet: Path) -> None:
        request = RegisterRequest(
            version=_VERSION, endpoint=self.socket.name, resource_name=self._plugin.resource, options=OPTIONS
        )
        async with grpc.aio.insecure_channel(f"unix:{kubelet}") as channel:
            await RegistrationStub(channel).Register(request, timeout=_REGISTER_TIMEOUT_S)
        self.registered += 1
        _log.info("%s: registered with kubelet", self._plugin.resource)

    def _note(self, state: tenacity.RetryCallState) -> None:
        outcome = None if state.outcome is None else state.outcome.exception()
        _log.warning("%s: not registered, trying again: %s", self._plugin.resource, outcome)


def _identity(path: Path) -> Identity | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_ctime_ns
