"""The node agent: discovery, registration, device plugins and cleanup, each going on whatever happens to the others."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from hami_core.errors import HamiError
from hami_core.kube.events import Events, PodRef
from hami_core.node.allocating import AllocatingBinder
from hami_core.node.binder import Binder, Host
from hami_core.node.cleanup import clean
from hami_core.node.discovery import Discovery
from hami_core.node.eviction import evict, holders
from hami_core.node.findings import read_findings
from hami_core.node.furnishing import Furnisher
from hami_core.node.health import Kind, Sighting
from hami_core.node.ids import Replica, replicas
from hami_core.node.late import LateBinder
from hami_core.node.limits import LimitsKeeper
from hami_core.node.partitioning import Partitions
from hami_core.node.plugin import DevicePlugin
from hami_core.node.pods import pods_of
from hami_core.node.registration import Registration
from hami_core.node.serving import PluginServer
from hami_core.node.settings import BindingMode
from hami_core.node.sharing import NodeSharing
from hami_core.node.telling import Telling
from hami_core.node.watching import watch
from hami_core.packaged import NotInstalled
from hami_core.wire.cordon import cordoned

if TYPE_CHECKING:
    from hami_core.behaviour import DeviceEvent
    from hami_core.kube.api import ApiServer
    from hami_core.node.settings import NodeSettings
    from hami_core.registry import LoadedFamily, Registry

COMPONENT = "hami-node-agent"

_log = logging.getLogger(__name__)


class NodeAgent:
    """One process a node, for all vendors whose plugins allocate.

    Args:
        api: the server.
        registry: the vendors.
        settings: how the agent was set up.
        environ: of the probes (a simulated machine's, say); None means this process's.
        clock: seconds, monotonic; health and eviction go by it.
    """

    def __init__(
        self,
        api: ApiServer,
        registry: Registry,
        settings: NodeSettings,
        *,
        environ: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sharing = NodeSharing(settings)
        self.furnisher = Furnisher(registry, settings, self.sharing)
        partitions = Partitions(registry, environ=environ)
        self.discovery = Discovery(
            registry,
            settings,
            sharing=self.sharing,
            environ=environ,
            ours=lambda: partitions.ours(self.furnisher.files.records()),
            clock=clock,
        )
        self.servers: dict[str, PluginServer] = {}
        self._environ = environ
        self._api = api
        self._registry = registry
        self._settings = settings
        self._events = Events(api, component=COMPONENT)
        self._plugins: dict[str, DevicePlugin] = {}
        self._host = Host(
            api=api,
            events=self._events,
            registry=registry,
            settings=settings,
            discovery=self.discovery,
            furnisher=self.furnisher,
            partitions=partitions,
        )
        self._registration = Registration(api, settings.node, registry, late=settings.binding is BindingMode.LATE)
        self._telling = Telling(api, self._events, settings.node, taint=settings.taint)
        self._refreshed = asyncio.Event()
        self._wanted = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled."""
        _log.info("allocating for %s", ", ".join(self.discovery.vendors) or "no vendor: install the plugin of one")
        async with asyncio.TaskGroup() as group:
            group.create_task(self._events.run())
            group.create_task(self._refresh_for_ever(group))
            group.create_task(self._clean_for_ever())
            group.create_task(self._keep_limits())
            for vendor in self.discovery.vendors:
                group.create_task(watch(self._registry, vendor, self._see, environ=self._environ))

    async def refresh(self) -> None:
        """Look at the cards, say on the node what they are, and tell kubelet."""
        self.sharing.follow()
        self._telling.changed(await self.discovery.look())
        self._say_findings()
        try:
            node = await self._registration.sync(self.discovery.devices)
            cordons = self.discovery.cordon(cordoned(node.annotations))
            if cordons:
                self._telling.changed(cordons)
                await self._registration.sync(self.discovery.devices)
            await self._telling.show(self.discovery.devices, self.discovery.health)
            await self._evict()
        except HamiError as err:
            _log.warning("the node stays as it was written: %s", err)
        for plugin in self._plugins.values():
            plugin.changed()

    def _say_findings(self) -> None:
        """Say of pods what the monitor found, as long as they are there; the same thing is said once."""
        here = {record.uid for record in self.furnisher.files.records()}
        for found in read_findings(self._settings.paths.files).bypassed:
            if found.uid in here:
                about = PodRef(namespace=found.namespace, name=found.pod, uid=found.uid)
                self._events.say(about, "IsolationBypassed", found.message, warning=True)

    async def _evict(self) -> None:
        """Move pods off cards that have been out of order for long, where that is wanted."""
        after_s = self._settings.evict_after_s
        due = {} if after_s is None else self.discovery.overdue(after_s)
        if not due:
            return
        for pod, uuid in holders(await pods_of(self._api, self._settings.node), due, self._registry):
            note = due[uuid].note or "out of order"
            await evict(self._api, self._events, pod, f"card {uuid} of node {self._settings.node}: {note}")

    async def _refresh_for_ever(self, group: asyncio.TaskGroup) -> None:
        while True:
            await self.refresh()
            for loaded in self._registry.families.values():
                name = loaded.family.name
                if loaded.allocate is not None and name not in self._plugins and self.discovery.of_family(name):
                    self._install(loaded)
                    self._plugins[name] = DevicePlugin(self._binder(loaded), partial(self._replicas, name))
                    self.servers[name] = PluginServer(self._plugins[name], self._settings.paths.plugins)
                    group.create_task(self.servers[name].run())
            self._refreshed.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), self._settings.refresh_s)
            self._wanted.clear()

    def _see(self, event: DeviceEvent) -> None:
        """Count an event against its card; kubelet and the scheduler hear of it at once."""
        rules = self._settings.health
        fault = Sighting(kind=Kind.FAULT, note=event.note) if event.xid is None else rules.of_xid(event.xid)
        if fault is None:
            _log.info("card %s: Xid %s, which is the program's own fault", event.uuid, event.xid)
        elif (change := self.discovery.see(event.uuid, fault)) is not None:
            self._telling.changed([change])
            self._wanted.set()

    def _install(self, loaded: LoadedFamily) -> None:
        """Put the library in place before the first container wants it, so that what is wrong is said early."""
        try:
            self.furnisher.library(loaded)
        except (NotInstalled, OSError) as err:
            _log.error("%s: containers that share cards will be refused: %s", loaded.family.name, err)

    def _binder(self, loaded: LoadedFamily) -> Binder:
        late = self._settings.binding is BindingMode.LATE
        return LateBinder(self._host, loaded) if late else AllocatingBinder(self._host, loaded)

    def _replicas(self, family: str) -> tuple[Replica, ...]:
        numa = self.sharing.of(self._registry.family(family).family).numa
        return replicas(self.discovery.of_family(family), numa=numa)

    async def _keep_limits(self) -> None:
        await self._refreshed.wait()  # cores are percent of cards that must be known
        await LimitsKeeper(self._host).run()

    async def _clean_for_ever(self) -> None:
        await self._refreshed.wait()
        while True:
            try:
                await self.clean()
            except (HamiError, OSError) as err:
                _log.warning("nothing is cleaned up now: %s", err)
            await asyncio.sleep(self._settings.refresh_s)

    async def clean(self) -> int:
        """Remove what pods had that are gone; how many folders. Raises HamiError where that cannot be known."""
        keep = set()
        for loaded in self._registry.families.values():
            with contextlib.suppress(NotInstalled):
                library = None if loaded.allocate is None else self.furnisher.library(loaded)
                keep |= set() if library is None else {str(library.parent)}
        files, paths = self.furnisher.files, self._settings.paths
        return await clean(self._api, files, paths, self._settings.node, keep=keep, partitions=self._host.partitions)


async def work_until_signalled(work: Callable[[], Awaitable[None]]) -> None:
    """Run until SIGTERM or SIGINT; containers keep what they have, and a new agent finds it."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    running = asyncio.ensure_future(work())
    stopped = asyncio.ensure_future(stop.wait())
    await asyncio.wait([running, stopped], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not running.done():
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        return
    await running
