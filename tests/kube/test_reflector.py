from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from aiohttp import web
from tests.kube.fake_api import FakeApi, fake_api, until
from tests.kube.loop import in_loop
from tests.kube.world import pod

from hami_core.kube.api import ApiServer
from hami_core.kube.records import decode_pod
from hami_core.kube.reflector import Reflector
from hami_core.objects import PodFacts


class Names:
    """A sink that keeps names."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.lists = 0
        self._listed: set[str] = set()

    def begin(self) -> None:
        self._listed = set()

    def put(self, item: PodFacts) -> None:
        self.names.add(item.name)
        self._listed.add(item.name)

    def gone(self, item: PodFacts) -> None:
        self.names.discard(item.name)

    def end(self) -> None:
        self.names &= self._listed
        self.lists += 1


@asynccontextmanager
async def following(api: ApiServer) -> AsyncIterator[tuple[Names, Reflector[PodFacts]]]:
    sink = Names()
    reflector = Reflector(api, "/api/v1/pods", decode_pod, sink)
    task = asyncio.create_task(reflector.run())
    try:
        yield sink, reflector
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def add(fake: FakeApi, name: str) -> None:
    await fake.put(f"/api/v1/namespaces/team/pods/{name}", pod(name))


@in_loop
async def test_a_list_comes_in_pages_and_the_watch_goes_on_from_it() -> None:
    async with fake_api() as (fake, api):
        fake.page = 2
        for name in "abcde":
            await add(fake, name)
        async with following(api) as (sink, reflector):
            await reflector.synced.wait()
            assert sink.names == set("abcde")
            await add(fake, "f")
            await fake.delete("/api/v1/namespaces/team/pods/a")
            await until(lambda: sink.names == set("bcdef"))
            assert sink.lists == 1


@in_loop
async def test_a_watch_that_ends_goes_on_without_a_list() -> None:
    async with fake_api() as (fake, api), following(api) as (sink, reflector):
        await reflector.synced.wait()
        await add(fake, "a")
        await until(lambda: sink.names == {"a"})
        await fake.break_watches()
        await add(fake, "b")
        await until(lambda: sink.names == {"a", "b"})
        assert sink.lists == 1


@in_loop
async def test_a_version_that_is_too_old_means_a_new_list() -> None:
    async with fake_api() as (fake, api):
        await add(fake, "a")
        async with following(api) as (sink, reflector):
            await reflector.synced.wait()
            await fake.delete("/api/v1/namespaces/team/pods/a")
            await until(lambda: not sink.names)
            fake.compacted = 10**9
            await fake.break_watches()
            await add(fake, "b")
            await until(lambda: sink.lists >= 2 and sink.names == {"b"})


@in_loop
async def test_a_server_that_fails_is_asked_again() -> None:
    async with fake_api() as (fake, api):
        await add(fake, "a")
        failures = iter([503, 500, 429])

        async def fail(method: str, path: str) -> web.Response | None:
            status = next(failures, None)
            return None if status is None else web.Response(status=status, text="not now")

        fake.faults.append(fail)
        async with following(api) as (sink, reflector):
            await reflector.synced.wait()
            assert sink.names == {"a"}


@in_loop
async def test_an_object_that_cannot_be_read_does_not_stop_the_others() -> None:
    async with fake_api() as (fake, api):
        await fake.put("/api/v1/namespaces/team/pods/odd", {"kind": "Pod", "metadata": {"name": ["no", "name"]}})
        await add(fake, "a")
        async with following(api) as (sink, reflector):
            await reflector.synced.wait()
            await add(fake, "b")
            await until(lambda: sink.names == {"a", "b"})


@in_loop
async def test_refresh_waits_for_a_list_that_began_afterwards() -> None:
    async with fake_api() as (fake, api), following(api) as (sink, reflector):
        await reflector.synced.wait()
        await asyncio.wait_for(reflector.refresh(time.monotonic()), 10)
        assert sink.lists == 2
        await add(fake, "a")
        await until(lambda: sink.names == {"a"})


@in_loop
async def test_refresh_is_content_with_a_list_that_is_new_enough() -> None:
    async with fake_api() as (_fake, api), following(api) as (sink, reflector):
        before_s = time.monotonic() - 60
        await reflector.synced.wait()
        await reflector.refresh(before_s)
        assert sink.lists == 1


@in_loop
async def test_an_object_larger_than_a_read_is_put_together() -> None:
    async with fake_api() as (fake, api), following(api) as (sink, reflector):
        await reflector.synced.wait()
        await fake.put(
            "/api/v1/namespaces/team/pods/big", pod("big", annotations={"filler": json.dumps("x" * 1_000_000)})
        )
        await until(lambda: sink.names == {"big"})
