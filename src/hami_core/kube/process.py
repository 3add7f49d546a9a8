"""The process: everything put together, started in order, and ended so that nothing is left half done."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Callable

import msgspec
from aiohttp import web

from hami_core.errors import ApiFailed, BadWire, HamiError
from hami_core.kube.api import ApiServer, path_of, server_minor
from hami_core.kube.audit import Audit
from hami_core.kube.binding import Binding
from hami_core.kube.cache import Cache, NodeSink, PodSink, QuotaSink, quota_decoder
from hami_core.kube.collecting import Collecting
from hami_core.kube.decisions import Decisions
from hami_core.kube.election import Elector, campaigning
from hami_core.kube.events import Events
from hami_core.kube.explanations import Explanation, Explanations
from hami_core.kube.filtering import Filtering
from hami_core.kube.metrics import Metrics
from hami_core.kube.recall import recall
from hami_core.kube.records import decode_node, decode_pod
from hami_core.kube.reflector import Reflector
from hami_core.kube.rehearsal import Rehearsal, decode_whole_pod
from hami_core.kube.resizing import Resizing
from hami_core.kube.role import OwnPod, Role
from hami_core.kube.server import build, build_metrics
from hami_core.kube.settings import BindWrites, Listen, Settings
from hami_core.kube.tls import TlsFiles, stamp
from hami_core.kube.waking import Waking
from hami_core.kube.webhook import Webhook
from hami_core.objects import NodeFacts, PodFacts
from hami_core.quota import NamespaceQuota
from hami_core.registry import Registry, load_registry

_ASK_EVERY_S = 5.0
_COPIES_LABELS = 35
_DRAIN_S = 25.0
_TURN_S = 0.001
_LEAD_EVERY_S = 0.2
_log = logging.getLogger(__name__)


class Scheduler:
    """What the routes use. `cache` and what stands on it are replaced as a whole when the configuration changes.

    Args:
        api: the server.
        registry: the families.
        settings: how the process was set up.
        tls: the certificate, for its expiry.
    """

    def __init__(self, api: ApiServer, registry: Registry, settings: Settings, tls: TlsFiles | None = None) -> None:
        self.settings = settings
        self.explanations = Explanations()
        self.events = Events(None if settings.dry_run else api, component=settings.component)
        self.elector = Elector(api, None if settings.dry_run else settings.election)
        self.rehearsal = Rehearsal(lambda: self.cache, settings)
        self.bad_configs = 0
        writes = settings.bind_writes
        # None until the API server has said what it can.
        self.binds_at_once = None if writes is BindWrites.AUTO else writes is BindWrites.ONE
        self._reconfiguring = False
        self._api = api
        self._tls = tls
        self._reflecting_anew = asyncio.Event()
        self._reflecting: list[asyncio.Task[None]] = []
        dry = settings.dry_run
        self.waking = None if dry else Waking(api, lambda: self.cache, leading=lambda: self.elector.leads)
        self.resizing = Resizing(api, lambda: self.cache, self.events, leading=lambda: not self.closed())
        self._use(registry)
        self.webhook = Webhook(
            lambda: self.cache, settings.admission, trusted=settings.trusted_users, synced=lambda: self.synced
        )
        self.audit = Audit(
            None if settings.dry_run else api, lambda: self.cache, settings, leading=lambda: self.elector.leads
        )
        self.metrics = Metrics(self)
        self.collecting = Collecting(lambda: self.metrics.asked_s)

    def _use(self, registry: Registry) -> None:
        api, settings = self._api, self.settings
        self.cache = Cache(registry)
        decisions = Decisions(registry, self.events, self.explanations, self.waking)
        self.filtering = Filtering(self.cache, decisions, settings)
        self.binding = Binding(
            api,
            self.cache,
            decisions,
            settings,
            leading=lambda: self.elector.leads,
            at_once=lambda: bool(self.binds_at_once),
        )
        self._nodes: Reflector[NodeFacts] = Reflector(
            api, "/api/v1/nodes", decode_node, NodeSink(self.cache), selector=settings.node_selector
        )
        dry = settings.dry_run
        self._pods: Reflector[PodFacts] = Reflector(
            api,
            "/api/v1/pods",
            decode_whole_pod if dry else decode_pod,
            PodSink(self.cache, self.rehearsal.see if dry else self.resizing.see),
        )
        self._quotas: Reflector[NamespaceQuota] = Reflector(
            api, "/api/v1/resourcequotas", quota_decoder(registry), QuotaSink(self.cache)
        )

    # ---- state -----------------------------------------------------------------------------------------------------

    @property
    def synced(self) -> bool:
        """Whether the cache has seen the whole cluster."""
        return all(each.synced.is_set() for each in (self._nodes, self._pods, self._quotas))

    async def recall(self, namespace: str, name: str) -> Explanation | None:
        """What can be said of a pod that this process has not decided. Raises ApiFailed, BadWire."""
        if not self.synced:
            raise ApiFailed(call=f"explain {namespace}/{name}", problem="the cluster has not been read yet")
        return await recall(self._api, self.cache, self.settings, namespace, name)

    def closed(self) -> str:
        """Why filter and bind are not answered now; empty when they are."""
        if not self.elector.leads:
            return f"this process does not lead; {self.elector.leader or 'nobody'} does"
        if self._reconfiguring:
            return "the configuration is being changed"
        if not self.synced or min(self._pods.began_s, self._nodes.began_s) < self.elector.gained_s:
            return "the cluster has not been read yet"
        return ""

    def certificate_expires(self) -> float | None:
        """Unix time of the certificate's end."""
        expires = None if self._tls is None else self._tls.expires
        return None if expires is None else expires.timestamp()

    # ---- work ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow the cluster until cancelled."""
        async with campaigning(self.elector):
            await self.elector.tried.wait()
            self._reflect()
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._trust_myself())
                    if self.settings.bind_writes is BindWrites.AUTO:
                        group.create_task(self._learn_version())
                    own = OwnPod.from_environment()
                    if own is not None and self.settings.election is not None and not self.settings.dry_run:
                        group.create_task(Role(self._api, own, deciding=lambda: not self.closed()).run())
                    if self.waking is not None:
                        group.create_task(self.waking.run())
                    group.create_task(self._watch_over())
                    group.create_task(self.audit.run())
                    group.create_task(self.collecting.run())
                    group.create_task(self._follow_config())
                    group.create_task(self.rehearsal.run() if self.settings.dry_run else self.events.run())
                    if not self.settings.dry_run:
                        group.create_task(self.resizing.run())
            finally:
                await self._stop_reflecting()

    def _reflect(self) -> None:
        self._reflecting = [
            asyncio.create_task(self._nodes.run()),
            asyncio.create_task(self._pods.run()),
            asyncio.create_task(self._quotas.run()),
            asyncio.create_task(self._freshen()),
        ]
        self._reflecting_anew.set()

    async def _watch_over(self) -> None:
        """End the process when a reflector ends: going on with a picture that stands still would be worse."""
        while True:
            self._reflecting_anew.clear()
            anew = asyncio.create_task(self._reflecting_anew.wait())
            done, _ = await asyncio.wait([anew, *self._reflecting], return_when=asyncio.FIRST_COMPLETED)
            anew.cancel()
            for task in done - {anew}:
                if not task.cancelled():
                    task.result()

    async def _stop_reflecting(self) -> None:
        for task in self._reflecting:
            task.cancel()
        await asyncio.gather(*self._reflecting, return_exceptions=True)

    async def _freshen(self) -> None:
        """On gaining the lead, read pods and nodes once more: the watch may lag behind what the last leader wrote."""
        frozen: Cache | None = None
        while True:
            await self.elector.gained.wait()
            gained_s = self.elector.gained_s
            await asyncio.gather(self._pods.refresh(gained_s), self._nodes.refresh(gained_s))
            if frozen is not self.cache:
                self.collecting.begin()
                frozen = self.cache
            await asyncio.sleep(_LEAD_EVERY_S)

    async def _trust_myself(self) -> None:
        """Let the webhook accept what this process writes, by the name that the API server knows it by."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        path = path_of("apis", "authentication.k8s.io", "v1", "selfsubjectreviews")
        while True:
            try:
                answer = msgspec.json.decode(await self._api.post(path, body))
                self.webhook.trusted.append(_escaped(answer["status"]["userInfo"]["username"]))
            except (ApiFailed, KeyError, TypeError) as err:
                _log.warning("the API server does not say who we are, asking again: %s", err)
                await asyncio.sleep(_ASK_EVERY_S)
            else:
                return

    async def _learn_version(self) -> None:
        """Bind in one write where the API server can; until it has said so, in two."""
        while True:
            try:
                self.binds_at_once = await server_minor(self._api) >= _COPIES_LABELS
            except (ApiFailed, BadWire) as err:
                _log.warning("the API server does not say which version it is, asking again: %s", err)
                await asyncio.sleep(_ASK_EVERY_S)
            else:
                return

    async def _follow_config(self) -> None:
        """Use a changed device configuration; a bad one leaves the old in use and says so."""
        from hami_core.wire.device_config import ConfigSections  # noqa: PLC0415 - keeps YAML off the import path

        file = self.settings.device_config
        if file is None:
            return
        seen = stamp(file)
        while True:
            await asyncio.sleep(self.settings.config_every_s)
            try:
                now = stamp(file)
                if now == seen:
                    continue
                seen = now
                registry = load_registry(ConfigSections.load(file))
            except (HamiError, OSError) as err:
                self.bad_configs += 1
                _log.error("the changed configuration cannot be used, the old one stays: %s", err)
                continue
            await self._reconfigure(registry)

    async def _reconfigure(self, registry: Registry) -> None:
        """Read the cluster anew under other families; meanwhile filter and bind are closed, and begun binds finish."""
        _log.info("the configuration changed; reading the cluster anew")
        self._reconfiguring = True
        try:
            while self.cache.binding:
                await asyncio.sleep(_LEAD_EVERY_S)
            await self._stop_reflecting()
            self._use(registry)
            self._reflect()
        finally:
            self._reconfiguring = False


def _escaped(name: str) -> str:
    """A user's name as a pattern that matches it alone."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


async def serve(
    scheduler: Scheduler, listen: Listen, metrics: Listen | None, tls: TlsFiles | None, *, ready: Callable[[str], None]
) -> None:
    """Serve until SIGTERM or SIGINT, then let what is under way finish.

    Args:
        scheduler: what the routes use.
        listen: where kube-scheduler and the API server call.
        metrics: where Prometheus scrapes; None does not serve it.
        tls: the certificate; None serves plain HTTP.
        ready: is told once both listen.
    """
    # The metrics are written in a thread: the loop shall not wait the usual 5 ms for each of its turns.
    sys.setswitchinterval(_TURN_S)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        work = asyncio.create_task(scheduler.run())
        stack.push_async_callback(_cancelled, work)
        context = None if tls is None else tls.context
        await stack.enter_async_context(_site(build(scheduler), listen, context))
        if metrics is not None:
            await stack.enter_async_context(_site(build_metrics(scheduler), metrics, None))
        following = [] if tls is None else [asyncio.create_task(tls.follow())]
        for task in following:
            stack.push_async_callback(_cancelled, task)
        ready(f"listening on {listen}" + (f", metrics on {metrics}" if metrics else ""))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait([stopped, work, *following], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if work.done():
            await work


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@contextlib.asynccontextmanager
async def _site(app: web.Application, listen: Listen, tls: ssl.SSLContext | None) -> AsyncIterator[None]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_DRAIN_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, listen.host, listen.port, ssl_context=tls).start()
        yield
    finally:
        await runner.cleanup()
