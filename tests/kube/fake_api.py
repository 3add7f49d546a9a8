"""An API server in this process, for faults that a real one does not produce on request.

It keeps nodes, pods, quotas and Leases, numbers every change, serves lists in pages and watches, and refuses a patch of
an old version. `faults` are called before each request and may answer in its place; of the next write to a path in
`lost` the answer is lost.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote

import aiohttp
from aiohttp import web

from hami_core.kube.api import ApiServer

Object = dict[str, Any]
Fault = Callable[[str, str], Awaitable[web.Response | None]]


class _Configuration:
    proxy = None

    def __init__(self, host: str) -> None:
        self.host = host

    async def get_api_key_with_prefix(self, name: str, alias: str) -> str:
        return "Bearer secret"


class FakeApi:
    """The server; `calls` are method and path of every request."""

    def __init__(self) -> None:
        self.version = itertools.count(1)
        self.objects: dict[str, Object] = {}
        self.events: list[Object] = []
        self.calls: list[tuple[str, str]] = []
        self.faults: list[Fault] = []
        self.lost: list[str] = []
        self.history: list[tuple[int, str, Object]] = []
        self.compacted = 0
        self.page = 500
        self.minor = "37"
        self._changed = asyncio.Condition()
        self._closed = False

    # ---- what tests do -----------------------------------------------------------------------------------------

    async def put(self, path: str, item: Object) -> Object:
        """Create or replace, as somebody else would."""
        kind = "MODIFIED" if path in self.objects else "ADDED"
        return await self._store(path, item, kind)

    async def delete(self, path: str) -> None:
        item = self.objects.pop(path)
        await self._record("DELETED", item)

    def item(self, path: str) -> Object:
        return self.objects[path]

    def writes(self, prefix: str = "/api/v1/") -> list[tuple[str, str]]:
        """Requests that change something, events aside."""
        return [
            (method, path)
            for method, path in self.calls
            if method != "GET" and path.startswith(prefix) and not path.endswith("/events")
        ]

    async def break_watches(self) -> None:
        """End every watch, as a restarted server does."""
        self._closed = True
        async with self._changed:
            self._changed.notify_all()
        await asyncio.sleep(0.05)
        self._closed = False

    # ---- the server --------------------------------------------------------------------------------------------

    async def _store(self, path: str, item: Object, kind: str) -> Object:
        metadata = item.setdefault("metadata", {})
        metadata["resourceVersion"] = str(next(self.version))
        self.objects[path] = item
        await self._record(kind, item)
        return item

    async def _record(self, kind: str, item: Object) -> None:
        item = json.loads(json.dumps(item))
        if kind == "DELETED":
            item["metadata"]["resourceVersion"] = str(next(self.version))
        self.history.append((int(item["metadata"]["resourceVersion"]), kind, item))
        async with self._changed:
            self._changed.notify_all()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = "/" + "/".join(unquote(part) for part in request.raw_path.split("?")[0].strip("/").split("/"))
        self.calls.append((request.method, path))
        for fault in list(self.faults):
            answer = await fault(request.method, path)
            if answer is not None:
                return answer
        if request.method == "GET":
            return await self._get(request, path)
        answer = await self._write(request.method, path, await request.json())
        if path not in self.lost:
            return answer
        self.lost.remove(path)
        return _status(500, "the answer was lost")

    async def _write(self, method: str, path: str, body: Object) -> web.Response:
        if method == "PATCH":
            return await self._patch(path, body)
        if method == "PUT":
            return await self._replace(path, body)
        return await self._create(path, body)

    async def _get(self, request: web.Request, path: str) -> web.StreamResponse:
        if request.query.get("watch"):
            return await self._watch(request, path)
        if path == "/version":
            return web.json_response({"major": "1", "minor": self.minor})
        if path in self.objects:
            return web.json_response(self.objects[path])
        return self._list(request, path) if path.endswith("s") else _status(404, path)

    async def _create(self, path: str, body: Object) -> web.Response:
        if path.endswith("/selfsubjectreviews"):
            return web.json_response({**body, "status": {"userInfo": {"username": "scheduler"}}}, status=201)
        if path.endswith("/events"):
            self.events.append(body)
            return web.json_response(body, status=201)
        if path.endswith("/eviction"):
            return await self._evict(path.removesuffix("/eviction"), body)
        if path.endswith("/binding"):
            return await self._bind(path.removesuffix("/binding"), body)
        path = f"{path}/{body['metadata']['name']}"
        if path in self.objects:
            return _status(409, "exists")
        return web.json_response(await self._store(path, body, "ADDED"), status=201)

    async def _replace(self, path: str, body: Object) -> web.Response:
        known = self.objects.get(path)
        if known is None or known["metadata"]["resourceVersion"] != body["metadata"].get("resourceVersion"):
            return _status(409, "the object has been modified")
        return web.json_response(await self._store(path, body, "MODIFIED"))

    async def _evict(self, path: str, body: Object) -> web.Response:
        pod = self.objects.get(path)
        if pod is None:
            return _status(404, "no such pod")
        if body.get("deleteOptions", {}).get("preconditions", {}).get("uid") not in (None, pod["metadata"].get("uid")):
            return _status(409, "another pod")
        await self.delete(path)
        return web.json_response({"status": "Success"}, status=201)

    async def _patch(self, path: str, body: Object) -> web.Response:
        path = path.removesuffix("/status")
        item = self.objects.get(path)
        if item is None:
            return _status(404, f"{path} not found")
        metadata = body.get("metadata", {})
        if _is_other(item, metadata):
            return _status(409, "the object has been modified")
        _merge(item, metadata)
        item.setdefault("spec", {}).update(body.get("spec", {}))
        conditions = {each["type"]: each for each in item.get("status", {}).get("conditions", [])}
        conditions |= {each["type"]: each for each in body.get("status", {}).get("conditions", [])}
        if conditions:
            item.setdefault("status", {})["conditions"] = list(conditions.values())
        return web.json_response(await self._store(path, item, "MODIFIED"))

    async def _bind(self, path: str, body: Object) -> web.Response:
        pod = self.objects.get(path)
        if pod is None:
            return _status(404, "no such pod")
        if pod["spec"].get("nodeName"):
            return _status(409, f"pod is already assigned to node {pod['spec']['nodeName']}")
        if _is_other(pod, body["metadata"]):
            return _status(409, "the object has been modified")
        _merge(pod, body["metadata"])
        pod["spec"]["nodeName"] = body["target"]["name"]
        await self._store(path, pod, "MODIFIED")
        return web.json_response({"status": "Success"}, status=201)

    def _list(self, request: web.Request, path: str) -> web.Response:
        kind = path.rsplit("/", 1)[1]
        key, _, wanted = request.query.get("labelSelector", "").partition("=")
        items = [
            item
            for name, item in sorted(self.objects.items())
            if name.split("/")[-2] == kind and (not key or item["metadata"].get("labels", {}).get(key) == wanted)
        ]
        start = int(request.query.get("continue") or 0)
        end = start + min(self.page, int(request.query.get("limit", 500)))
        now = self.history[-1][0] if self.history else 0
        meta = {"resourceVersion": str(now), "continue": str(end) if end < len(items) else ""}
        return web.json_response({"kind": "List", "metadata": meta, "items": items[start:end]})

    async def _watch(self, request: web.Request, path: str) -> web.StreamResponse:
        since = int(request.query["resourceVersion"])
        if since < self.compacted:
            return _status(410, "too old resource version")
        response = web.StreamResponse()
        await response.prepare(request)
        kind = {"nodes": "Node", "pods": "Pod", "resourcequotas": "ResourceQuota"}[path.rsplit("/", 1)[1]]
        while not self._closed:
            for version, event, item in self.history:
                if version > since and item.get("kind") == kind:
                    line = json.dumps({"type": event, "object": item}).encode() + b"\n"
                    # In two pieces: a line may come in any number of them.
                    await response.write(line[:10])
                    await response.write(line[10:])
            since = max([since, *(version for version, _, _ in self.history)])
            async with self._changed:
                with_news = self.history and self.history[-1][0] > since
                if not with_news and not self._closed:
                    await self._changed.wait()
        return response


def _is_other(item: Object, asked: Object) -> bool:
    """Whether somebody means another version of the object, or another object of its name."""
    now = item["metadata"]
    version, uid = asked.get("resourceVersion"), asked.get("uid")
    return bool(version and version != now["resourceVersion"]) or bool(uid and uid != now.get("uid"))


def _merge(item: Object, more: Object) -> None:
    for part in ("annotations", "labels"):
        if part in more:
            merged = {**item["metadata"].get(part, {}), **more[part]}
            item["metadata"][part] = {key: value for key, value in merged.items() if value is not None}


def _status(code: int, message: str) -> web.Response:
    return web.json_response({"kind": "Status", "code": code, "message": message}, status=code)


@asynccontextmanager
async def fake_api() -> AsyncIterator[tuple[FakeApi, ApiServer]]:
    """The server on loopback, and a client of it."""
    fake = FakeApi()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    async with aiohttp.ClientSession() as session:
        try:
            yield fake, ApiServer(session, _Configuration(f"http://127.0.0.1:{port}"), ssl=True)
        finally:
            await fake.break_watches()
            await runner.cleanup()


async def until(what: Callable[[], object], *, patience_s: float = 10.0) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(patience_s):
        while not what():
            await asyncio.sleep(0.005)
