"""List, then watch: one kind of object, kept up to date for as long as the process runs."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import aiohttp
import msgspec
import tenacity

from hami_core.errors import ApiFailed, BadWire
from hami_core.kube.api import ApiServer, pause

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

_PAGE = "500"
_STEP = 32
"""Objects between two pauses: other work waits no longer than these take."""
_GONE = 410
_log = logging.getLogger(__name__)


class Sink(Protocol[T_contra]):
    """Takes what a reflector reads."""

    def begin(self) -> None:
        """A full list follows."""

    def put(self, item: T_contra, /) -> None:
        """An object is there, new or changed."""

    def gone(self, item: T_contra, /) -> None:
        """An object was deleted."""

    def end(self) -> None:
        """The list is complete: what was not in it is gone."""


class _ListMeta(
    msgspec.Struct, kw_only=True, frozen=True, rename={"next": "continue", "resource_version": "resourceVersion"}
):
    resource_version: str = ""
    next: str = ""


class _Page(msgspec.Struct, kw_only=True):
    metadata: _ListMeta = _ListMeta()
    items: list[msgspec.Raw] | None = None


class _Event(msgspec.Struct, kw_only=True):
    type: str
    object: msgspec.Raw


class _Status(msgspec.Struct, kw_only=True):
    code: int = 0
    message: str = ""


class _BookmarkMeta(msgspec.Struct, kw_only=True, frozen=True, rename="camel"):
    resource_version: str = ""


class _Versioned(msgspec.Struct, kw_only=True):
    metadata: _BookmarkMeta = _BookmarkMeta()


class Reflector(Generic[T]):
    """Keeps a sink in step with one collection of the API server.

    Args:
        api: the server.
        path: the collection, such as ``/api/v1/pods``.
        decode: reads one object; what it refuses with BadWire is logged and left out.
        sink: where the objects go.
        selector: of labels.
        fields: a selector of fields, such as ``spec.nodeName=n1``.
    """

    def __init__(
        self,
        api: ApiServer,
        path: str,
        decode: Callable[[msgspec.Raw], T],
        sink: Sink[T],
        *,
        selector: str = "",
        fields: str = "",
    ) -> None:
        self.path = path
        self.synced = asyncio.Event()
        self.lists = 0
        self.restarts = 0
        self._api = api
        self._decode = decode
        self._sink = sink
        self._selectors = {"labelSelector": selector} if selector else {}
        if fields:
            self._selectors["fieldSelector"] = fields
        self._version = ""
        self.began_s = float("-inf")  # when the last complete list was asked for, on the monotonic clock
        self._fresh = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Follow the collection until cancelled."""
        while True:
            retrying = tenacity.AsyncRetrying(
                wait=tenacity.wait_random_exponential(multiplier=0.2, max=20),
                retry=tenacity.retry_if_exception_type((ApiFailed, aiohttp.ClientError, TimeoutError)),
                before_sleep=self._note,
            )
            # A cycle that made progress returns, so that the next failure starts with a short wait again.
            await retrying(self._cycle)

    async def refresh(self, since_s: float) -> None:
        """Return once a list that began after `since_s` (monotonic) is in; asks for one where there is none."""
        while self.began_s < since_s or not self._fresh.is_set():
            if self.began_s < since_s:
                self._version = ""
                self._fresh.clear()
                if self._watching is not None:
                    self._watching.cancel()
            await self._fresh.wait()

    async def _cycle(self) -> None:
        if not self._version:
            await self._list()
        self._watching = asyncio.ensure_future(self._watch())
        try:
            await self._watching
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():  # not refresh(): the whole reflector is to end
                raise
        finally:
            self._watching = None

    async def _list(self) -> None:
        began_s = time.monotonic()
        self._sink.begin()
        params = {"limit": _PAGE} | self._selectors
        page = _Page()
        while True:
            page = msgspec.json.decode(await self._api.get(self.path, params, timeout_s=60), type=_Page)
            for number, raw in enumerate(page.items or ()):
                if number % _STEP == 0:
                    await pause()
                item = self._read(raw)
                if item is not None:
                    self._sink.put(item)
            if not page.metadata.next:
                break
            params = params | {"continue": page.metadata.next}
        self._sink.end()
        self.lists += 1
        self._version = page.metadata.resource_version
        self.began_s = began_s
        self._fresh.set()
        self.synced.set()

    async def _watch(self) -> None:
        params = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            # Spread, so that not every client of a restarted API server comes back at once.
            "timeoutSeconds": str(random.randint(240, 480)),  # noqa: S311 - no secret
        } | self._selectors
        count = 0
        try:
            async for line in self._api.watch(self.path, params):
                self._take(msgspec.json.decode(line, type=_Event))
                count += 1
                if count % _STEP == 0:
                    await pause()
        except ApiFailed as err:
            if err.status != _GONE:
                raise
            _log.info("the watch of %s has expired; reading it anew", self.path)
            self._version = ""
        except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError) as err:
            if not count:
                raise ApiFailed(call=f"watch {self.path}", problem=str(err) or type(err).__name__) from err
        self.restarts += 1

    def _take(self, event: _Event) -> None:
        if event.type == "ERROR":
            status = msgspec.json.decode(event.object, type=_Status)
            raise ApiFailed(call=f"watch {self.path}", status=status.code, problem=status.message)
        version = msgspec.json.decode(event.object, type=_Versioned).metadata.resource_version
        if event.type != "BOOKMARK":
            item = self._read(event.object)
            if item is not None:
                (self._sink.gone if event.type == "DELETED" else self._sink.put)(item)
        self._version = version or self._version

    def _read(self, raw: msgspec.Raw) -> T | None:
        try:
            return self._decode(raw)
        except BadWire as err:
            _log.warning("an object of %s cannot be read and does not count: %s", self.path, err)
            return None

    def _note(self, state: tenacity.RetryCallState) -> None:
        err = state.outcome.exception() if state.outcome else None
        wait_s = state.next_action.sleep if state.next_action else 0
        _log.warning("watching %s failed, again in %.1f s: %s", self.path, wait_s, err)
