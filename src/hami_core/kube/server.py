"""The routes. A handler decodes, asks, encodes; whatever a stranger sends is answered, with what is wrong with it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from hami_core.errors import BadWire, HamiError
from hami_core.fit import advise
from hami_core.wire.extender import BindResult, FilterResult, HostPriority, decode_bind_args, decode_filter_args, encode

if TYPE_CHECKING:
    from hami_core.kube.process import Scheduler

MOST_BYTES = 256 * 1024 * 1024
"""A scheduler that is not told nodeCacheCapable sends every node with its images: some 20 KiB each."""

_JSON = "application/json"
_log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build(scheduler: Scheduler) -> web.Application:
    """The application that kube-scheduler and the API server call."""
    app = web.Application(client_max_size=MOST_BYTES, middlewares=[_guard])
    routes = _Routes(scheduler)
    app.add_routes(
        [
            web.post("/webhook", routes.webhook),
            web.post("/filter", routes.filter),
            web.post("/prioritize", routes.prioritize),
            web.post("/bind", routes.bind),
            web.get("/explain/{namespace}/{name}", routes.explain),
            web.get("/healthz", routes.healthz),
            web.get("/readyz", routes.readyz),
        ]
    )
    return app


def build_metrics(scheduler: Scheduler) -> web.Application:
    """The application that Prometheus scrapes."""
    app = web.Application()
    routes = _Routes(scheduler)
    app.add_routes([web.get("/metrics", routes.metrics), web.get("/healthz", routes.healthz)])
    return app


class _Routes:
    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    async def webhook(self, request: web.Request) -> web.Response:
        """Admit pods. Every process does, also one that does not lead."""
        answer = self._scheduler.webhook.review(await request.read())
        return web.Response(body=answer, content_type=_JSON)

    async def filter(self, request: web.Request) -> web.Response:
        """Say which nodes can take a pod."""
        body = await request.read()
        return await self._decide("filter", lambda: self._filter(body))

    async def prioritize(self, request: web.Request) -> web.Response:
        """Score the nodes that can take a pod."""
        body = await request.read()
        return await self._decide("prioritize", lambda: self._prioritize(body))

    async def bind(self, request: web.Request) -> web.Response:
        """Bind a pod."""
        body = await request.read()
        return await self._decide("bind", lambda: self._bind(body))

    async def explain(self, request: web.Request) -> web.Response:
        """The last verdict about a pod, and what would help."""
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        found = self._scheduler.explanations.of(f"{namespace}/{name}") or await self._scheduler.recall(namespace, name)
        if found is None:
            return _refusal(404, f"there is no pod {namespace}/{name}, or it asks for no device")
        document = found.to_dict()
        if found.outcome == "rejected" and found.request is not None and found.request.families:
            snapshot = self._scheduler.cache.fleet.snapshot()
            advice = await asyncio.to_thread(advise, snapshot, found.request)
            document["advice"] = [str(each) for each in advice]
        return web.Response(body=msgspec.json.encode(document), content_type=_JSON)

    async def healthz(self, _request: web.Request) -> web.Response:
        """The process is alive."""
        return web.Response(text="ok")

    async def readyz(self, _request: web.Request) -> web.Response:
        """The cache holds the whole cluster: webhook answers are complete, and this process could lead."""
        if self._scheduler.synced:
            return web.Response(text="ok")
        return web.Response(text="the cluster has not been read yet", status=503)

    async def metrics(self, _request: web.Request) -> web.Response:
        """Everything that is measured."""
        # In a thread: with thousands of cards the text takes longer than a filter may wait.
        text = await asyncio.to_thread(self._scheduler.metrics.text)
        return web.Response(body=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def _filter(self, body: bytes) -> FilterResult:
        return await self._scheduler.filtering.filter(decode_filter_args(body))

    async def _prioritize(self, body: bytes) -> list[HostPriority]:
        return await self._scheduler.filtering.prioritize(decode_filter_args(body))

    async def _bind(self, body: bytes) -> BindResult:
        # A scheduler that gives up waiting must not leave a pod half bound.
        return await asyncio.shield(self._scheduler.binding.bind(decode_bind_args(body)))

    async def _decide(self, verb: str, decide: Callable[[], Awaitable[Any]]) -> web.Response:
        closed = self._scheduler.closed()
        if closed:
            return _refusal(503, closed)
        began_s = time.perf_counter()
        answer = encode(await decide())
        self._scheduler.metrics.took(verb, time.perf_counter() - began_s)
        return web.Response(body=answer, content_type=_JSON)


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what went wrong into an answer."""
    try:
        return await handler(request)
    except BadWire as err:
        return _refusal(400, str(err))
    except HamiError as err:
        return _refusal(500, str(err))
    except web.HTTPException as err:
        return _refusal(err.status, err.reason)
    except Exception as err:  # noqa: BLE001 - the answer says so, the log has the trace
        _log.exception("%s %s failed", request.method, request.path)
        return _refusal(500, f"internal error: {type(err).__name__}: {err}")


def _refusal(status: int, problem: str) -> web.Response:
    return web.Response(body=msgspec.json.encode({"error": problem}), status=status, content_type=_JSON)
