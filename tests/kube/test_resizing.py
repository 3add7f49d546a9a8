"""The scheduler's side of `hami resize`: room checked against all others, one guarded write, an answer in any case."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import attrs
import pytest
from aiohttp import web
from tests.kube.fake_api import FakeApi, Object, fake_api, until
from tests.kube.loop import in_loop
from tests.kube.world import CARD_MIB, cache_of, node, placed

from hami_core.errors import ApiFailed
from hami_core.kube.api import ApiServer
from hami_core.kube.cache import Cache
from hami_core.kube.events import Events
from hami_core.kube.records import decode_pod
from hami_core.kube.resizing import Resizing
from hami_core.kube.wishing import wish
from hami_core.objects import read_pod
from hami_core.wire.resize import APPLIED, RESIZE, RESIZED, ResizeRequest, decode_status

HELD = "hami.io/vgpu-devices-allocated"
CARD = "GPU-n-0"


@attrs.define
class Cluster:
    fake: FakeApi
    api: ApiServer
    cache: Cache
    resizing: Resizing
    leads: bool = True

    async def pod(self, name: str, memory_mib: int) -> None:
        """A pod that runs, known to the scheduler."""
        item = await self.fake.put(path(name), placed(name, CARD, "n", memory_mib))
        self.cache.put_pod(read_pod(item))

    async def ask(self, name: str, memory_mib: int, cores: int | None = None, *, wish_id: str = "w1") -> None:
        item = self.fake.item(path(name))
        request = {"id": wish_id, "memoryMiB": memory_mib, "cores": cores}
        item["metadata"]["annotations"][RESIZE] = json.dumps(request)
        await self.fake.put(path(name), item)

    def held(self, name: str) -> str:
        found: str = self.fake.item(path(name))["metadata"]["annotations"][HELD]
        return found

    def answer(self, name: str) -> tuple[str, str, str]:
        status = decode_status(self.fake.item(path(name))["metadata"]["annotations"].get(RESIZED, ""))
        assert status is not None
        return status.id, status.outcome, status.message

    def counted(self) -> int:
        (use,) = self.cache.fleet.uses("n")
        return use.memory_used_mib


def path(name: str) -> str:
    return f"/api/v1/namespaces/team/pods/{name}"


@contextlib.asynccontextmanager
async def cluster() -> AsyncIterator[Cluster]:
    async with fake_api() as (fake, api):
        cache = cache_of(node("n"))
        events = Events(api, component="hami-scheduler")
        here = Cluster(fake, api, cache, None)  # type: ignore[arg-type]  # set in the next line
        here.resizing = Resizing(api, lambda: cache, events, leading=lambda: here.leads)
        writing = asyncio.create_task(events.run())
        yield here
        writing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await writing


@in_loop
async def test_a_wish_with_room_changes_the_share_and_what_is_counted() -> None:
    async with cluster() as here:
        await here.pod("a", 4000)
        await here.pod("b", 3000)
        await here.ask("a", 7000, 30)
        await here.resizing.answer("team", "a")
        assert here.held("a") == f"{CARD},NVIDIA,7000,30:;"
        assert here.answer("a") == ("w1", "done", "its container has 7000 MiB and 30 cores of each card from now on")
        assert here.counted() == CARD_MIB
        await until(lambda: [event["reason"] for event in here.fake.events] == ["Resized"])


@in_loop
async def test_a_wish_without_room_changes_nothing_and_says_how_much_there_is() -> None:
    async with cluster() as here:
        await here.pod("a", 4000)
        await here.pod("b", 3000)
        await here.ask("a", 7001)
        await here.resizing.answer("team", "a")
        assert here.held("a") == f"{CARD},NVIDIA,4000,0:;"
        assert here.answer("a") == ("w1", "refused", f"{CARD}: 7001 MiB asked, 7000 MiB not held by others")
        assert here.counted() == 7000
        await until(lambda: [event["reason"] for event in here.fake.events] == ["ResizeRefused"])


@in_loop
async def test_a_wish_that_cannot_be_read_is_refused_once() -> None:
    async with cluster() as here:
        await here.pod("a", 4000)
        here.fake.item(path("a"))["metadata"]["annotations"][RESIZE] = '{"memory": "all"}'
        await here.resizing.answer("team", "a")
        assert here.answer("a")[:2] == ("unreadable", "refused")
        written = len(here.fake.writes())
        await here.resizing.answer("team", "a")
        assert len(here.fake.writes()) == written


@in_loop
async def test_an_answered_wish_is_not_carried_out_again_and_a_new_one_is() -> None:
    async with cluster() as here:
        await here.pod("a", 4000)
        for wish_id, memory_mib in (("w1", 5000), ("w2", 4000), ("w3", 5000)):
            await here.ask("a", memory_mib, wish_id=wish_id)
            await here.resizing.answer("team", "a")
            await here.resizing.answer("team", "a")
            assert (here.held("a"), here.answer("a")[0]) == (f"{CARD},NVIDIA,{memory_mib},0:;", wish_id)
        assert len(here.fake.writes()) == 3


@in_loop
async def test_while_a_size_is_written_the_larger_one_is_counted_whatever_the_watch_says() -> None:
    async with cluster() as here:
        await here.pod("a", 4000)
        seen: list[int] = []

        async def look(method: str, _path: str) -> web.Response | None:
            if method == "PATCH":
                # A watch event from before the write must not free the room that it takes.
                item = json.loads(json.dumps(here.fake.item(path("a"))))
                item["metadata"]["labels"] = {"touched": "yes"}
                here.cache.put_pod(decode_pod(json.dumps(item).encode()))
                seen.append(here.counted())
            return None

        here.fake.faults.append(look)
        for wish_id, memory_mib in (("w1", 9000), ("w2", 1000)):
            await here.ask("a", memory_mib, wish_id=wish_id)
            await here.resizing.answer("team", "a")
            assert here.counted() == memory_mib
        assert seen == [9000, 9000]


@in_loop
async def test_a_write_that_fails_leaves_what_was_counted() -> None:
    async with cluster() as here:
        await here.pod("a", 4000)
        await here.ask("a", 9000)

        async def fail(method: str, _path: str) -> web.Response | None:
            return web.json_response({"message": "no"}, status=403) if method == "PATCH" else None

        here.fake.faults.append(fail)
        with pytest.raises(ApiFailed):
            await here.resizing.answer("team", "a")
        assert (here.counted(), here.held("a")) == (4000, f"{CARD},NVIDIA,4000,0:;")


@in_loop
async def test_a_pod_that_changed_meanwhile_is_decided_anew() -> None:
    async with cluster() as here:
        await here.pod("a", 4000)
        await here.ask("a", 9000)
        raced = False

        async def other(method: str, _path: str) -> web.Response | None:
            nonlocal raced
            if method == "PATCH" and not raced:
                raced = True
                await here.ask("a", 6000, wish_id="w2")
            return None

        here.fake.faults.append(other)
        await here.resizing.answer("team", "a")
        assert (here.held("a"), here.answer("a")[0]) == (f"{CARD},NVIDIA,6000,0:;", "w2")


@in_loop
async def test_a_share_that_still_waits_to_be_handed_out_waits_in_its_new_size() -> None:
    async with cluster() as here:
        item: Object = placed("a", CARD, "n", 4000)
        item["metadata"]["annotations"]["hami.io/vgpu-devices-to-allocate"] = item["metadata"]["annotations"][HELD]
        here.cache.put_pod(read_pod(await here.fake.put(path("a"), item)))
        await here.ask("a", 5000)
        await here.resizing.answer("team", "a")
        told = here.fake.item(path("a"))["metadata"]["annotations"]
        assert told["hami.io/vgpu-devices-to-allocate"] == told[HELD] == f"{CARD},NVIDIA,5000,0:;"


@in_loop
async def test_a_follower_leaves_wishes_alone_until_it_leads() -> None:
    async with cluster() as here:
        here.leads = False
        await here.pod("a", 4000)
        await here.ask("a", 5000)
        work = asyncio.create_task(here.resizing.run())
        here.resizing.see(read_pod(here.fake.item(path("a"))))
        await asyncio.sleep(0.05)
        assert here.fake.writes() == []
        here.leads = True
        await until(lambda: here.held("a") == f"{CARD},NVIDIA,5000,0:;")
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work


@in_loop
async def test_who_asks_hears_the_scheduler_and_the_node() -> None:
    async with cluster() as here:
        await here.pod("a", 4000)
        request = ResizeRequest(id="w9", memory_mib=5000)
        silent = await wish(here.api, "team", "a", request, patience_s=0)
        assert (silent.status, silent.applied) == (None, None)
        await here.resizing.answer("team", "a")
        metadata = {"annotations": {APPLIED: '{"id":"w9","message":"as was asked"}'}}
        await here.api.patch(path("a"), {"metadata": metadata})
        heard = await wish(here.api, "team", "a", request, patience_s=30)
        assert heard.status is not None
        assert heard.applied is not None
        assert (heard.status.outcome, heard.applied.message) == ("done", "as was asked")
