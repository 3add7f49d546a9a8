from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from tests.kube.fake_api import FakeApi, fake_api
from tests.kube.loop import in_loop
from tests.kube.world import LOCK, Desk, Object, ask, cache_of, node, pod

from hami_core.kube.records import decode_pod
from hami_core.kube.settings import Settings
from hami_core.wire.extender import BindArgs

POD = "/api/v1/namespaces/team/pods/a"
NODE = "/api/v1/nodes/n1"
BIND = BindArgs(pod_name="a", pod_namespace="team", pod_uid="uid-a", node="n1")

in_one_or_two_writes = pytest.mark.parametrize("at_once", [True, False], ids=["one write", "two writes"])


@asynccontextmanager
async def at_desk(
    *nodes: Object, item: Object | None = None, settings: Settings | None = None, at_once: bool = True
) -> AsyncIterator[tuple[FakeApi, Desk]]:
    """A desk whose API server has these nodes and pod `a`."""
    nodes = nodes or (node("n1"),)
    async with fake_api() as (fake, api):
        for each in nodes:
            await fake.put(f"/api/v1/nodes/{each['metadata']['name']}", each)
        await fake.put(POD, item or pod("a"))
        desk = Desk(cache_of(*nodes), settings, api)
        desk.at_once = at_once
        yield fake, desk


def annotations(fake: FakeApi, path: str = POD) -> dict[str, str]:
    found: dict[str, str] = fake.item(path)["metadata"]["annotations"]
    return found


def used_mib(desk: Desk) -> int:
    return sum(use.memory_used_mib for use in desk.cache.fleet.uses("n1"))


@in_one_or_two_writes
@in_loop
async def test_a_bind_writes_everything_and_binds(at_once: bool) -> None:
    async with at_desk(at_once=at_once) as (fake, desk):
        await desk.filtering.filter(ask(fake.item(POD), "n1"))
        assert (await desk.binding.bind(BIND)).error == ""
        assert fake.writes() == [("PATCH", POD), ("POST", f"{POD}/binding")][at_once:]
        told = annotations(fake)
        assert told["hami.io/vgpu-devices-allocated"] == "GPU-n1-0,NVIDIA,6000,0:;"
        assert told["hami.io/vgpu-devices-to-allocate"] == "GPU-n1-0,NVIDIA,6000,0:;"
        assert told["hami.io/vgpu-node"] == "n1"
        assert told["hami.io/bind-phase"] == "allocating"
        assert fake.item(POD)["spec"]["nodeName"] == "n1"
        assert fake.item(POD)["metadata"]["labels"] == {"hami.io/vgpu-node": "n1"}


@in_loop
async def test_after_the_bind_the_share_stays_taken_whatever_the_clock_says() -> None:
    async with at_desk() as (fake, desk):
        await desk.filtering.filter(ask(fake.item(POD), "n1"))
        await desk.binding.bind(BIND)
        desk.cache.clock.now_s += 10_000  # type: ignore[attr-defined]
        assert desk.cache.expire() == []
        assert used_mib(desk) == 6000


@in_one_or_two_writes
@in_loop
async def test_a_pod_written_meanwhile_is_read_again_and_bound(at_once: bool) -> None:
    async with at_desk(at_once=at_once) as (fake, desk):
        seen = json.loads(json.dumps(fake.item(POD)))
        await fake.put(POD, {**fake.item(POD), "status": {"phase": "Pending", "conditions": []}})
        await desk.filtering.filter(ask(seen, "n1"))
        assert (await desk.binding.bind(BIND)).error == ""
        assert fake.item(POD)["spec"]["nodeName"] == "n1"


@in_one_or_two_writes
@in_loop
async def test_a_pod_that_asks_for_something_else_now_is_not_bound(at_once: bool) -> None:
    async with at_desk(at_once=at_once) as (fake, desk):
        seen = json.loads(json.dumps(fake.item(POD)))
        await fake.put(POD, pod("a", 9000))
        await desk.filtering.filter(ask(seen, "n1"))
        assert "asks for something else" in (await desk.binding.bind(BIND)).error
        assert used_mib(desk) == 0


@in_one_or_two_writes
@in_loop
async def test_a_binding_that_is_refused_leaves_nothing_behind(at_once: bool) -> None:
    async with at_desk(node("n1", late=False), at_once=at_once) as (fake, desk):

        async def refuse(method: str, path: str) -> web.Response | None:
            return web.json_response({"message": "no"}, status=403) if path.endswith("/binding") else None

        fake.faults.append(refuse)
        await desk.filtering.filter(ask(fake.item(POD), "n1"))
        assert "403" in (await desk.binding.bind(BIND)).error
        assert annotations(fake) == {}
        assert not fake.item(POD)["metadata"].get("labels")
        assert LOCK not in annotations(fake, NODE)
        assert used_mib(desk) == 0
        assert desk.cache.flights == {}
        kept = desk.explanations.of("team/a")
        assert kept is not None
        assert kept.outcome == "failed"


@in_one_or_two_writes
@in_loop
async def test_a_binding_whose_answer_was_lost_counts_when_it_was_made(at_once: bool) -> None:
    async with at_desk(at_once=at_once) as (fake, desk):
        fake.lost.append(f"{POD}/binding")
        await desk.filtering.filter(ask(fake.item(POD), "n1"))
        assert (await desk.binding.bind(BIND)).error == ""
        assert annotations(fake)["hami.io/vgpu-node"] == "n1"
        assert used_mib(desk) == 6000


@in_loop
async def test_while_nobody_can_say_what_became_of_a_bind_its_share_is_kept() -> None:
    settings = Settings(bind_deadline_s=0.5)
    async with at_desk(settings=settings) as (fake, desk):

        async def dead(method: str, path: str) -> web.Response | None:
            return web.json_response({"message": "down"}, status=403) if path.startswith(POD) else None

        await desk.filtering.filter(ask(fake.item(POD), "n1"))
        fake.faults.append(dead)
        assert (await desk.binding.bind(BIND)).error
        assert used_mib(desk) == 6000
        desk.cache.clock.now_s += 61  # type: ignore[attr-defined]
        assert desk.cache.expire() == ["uid-a"]


@in_loop
async def test_a_leader_without_the_reservation_decides_anew_on_the_asked_node() -> None:
    async with at_desk() as (fake, desk):
        assert (await desk.binding.bind(BIND)).error == ""
        assert annotations(fake)["hami.io/vgpu-devices-allocated"] == "GPU-n1-0,NVIDIA,6000,0:;"


@in_loop
async def test_a_leader_without_the_reservation_refuses_where_there_is_no_room_any_more() -> None:
    async with at_desk() as (fake, desk):
        await desk.filtering.filter(ask(pod("other", 9000), "n1"))
        assert "fits node n1 no more" in (await desk.binding.bind(BIND)).error
        assert fake.writes() == []


@in_loop
async def test_a_process_that_leads_no_more_writes_nothing() -> None:
    async with at_desk() as (fake, desk):
        await desk.filtering.filter(ask(fake.item(POD), "n1"))
        desk.leading = False
        assert "leads no more" in (await desk.binding.bind(BIND)).error
        assert fake.writes() == []
        assert used_mib(desk) == 0


@in_loop
async def test_a_pod_of_the_same_name_is_another_pod() -> None:
    async with at_desk() as (fake, desk):
        fake.item(POD)["metadata"]["uid"] = "uid-younger"
        assert "another pod" in (await desk.binding.bind(BIND)).error
        assert fake.writes() == []


@in_loop
async def test_a_dry_run_writes_nothing() -> None:
    async with at_desk(settings=Settings(dry_run=True)) as (fake, desk):
        await desk.filtering.filter(ask(fake.item(POD), "n1"))
        assert "would be bound" in (await desk.binding.bind(BIND)).error
        assert fake.writes() == []


@in_loop
async def test_a_long_node_name_is_no_label() -> None:
    name = "n" * 70
    async with at_desk(node(name)) as (fake, desk):
        await desk.filtering.filter(ask(fake.item(POD), name))
        bind = BindArgs(pod_name="a", pod_namespace="team", pod_uid="uid-a", node=name)
        assert (await desk.binding.bind(bind)).error == ""
        assert "labels" not in fake.item(POD)["metadata"]


# ---- the node lock --------------------------------------------------------------------------------------------------


@in_loop
async def test_a_node_whose_agent_binds_late_is_not_locked() -> None:
    async with at_desk(node("n1", late=True)) as (fake, desk):
        await desk.filtering.filter(ask(fake.item(POD), "n1"))
        await desk.binding.bind(BIND)
        assert LOCK not in annotations(fake, NODE)


@in_loop
async def test_a_node_whose_plugin_guesses_is_locked_for_one_pod() -> None:
    async with at_desk(node("n1", late=False)) as (fake, desk):
        await desk.filtering.filter(ask(fake.item(POD), "n1"))
        assert (await desk.binding.bind(BIND)).error == ""
        assert annotations(fake, NODE)[LOCK].endswith(",team,a")


async def bind_against_lock(value: str, *others: Object, settings: Settings | None = None) -> tuple[str, str]:
    """The answer to a bind on a node with this lock, and the lock afterwards."""
    locked = node("n1", late=False, **{LOCK: value})
    async with at_desk(locked, settings=settings) as (fake, desk):
        for other in others:
            await fake.put(f"/api/v1/namespaces/team/pods/{other['metadata']['name']}", other)
        await desk.filtering.filter(ask(fake.item(POD), "n1"))
        error = (await desk.binding.bind(BIND)).error
        return error, annotations(fake, NODE).get(LOCK, "")


@in_loop
async def test_a_lock_of_a_living_pod_is_respected() -> None:
    error, lock = await bind_against_lock("2999-01-01T00:00:00Z,team,owner", pod("owner"))
    assert "node lock contention" in error
    assert lock == "2999-01-01T00:00:00Z,team,owner"


@in_loop
async def test_a_lock_of_a_pod_that_is_gone_is_taken_over() -> None:
    error, lock = await bind_against_lock("2999-01-01T00:00:00Z,team,gone")
    assert error == ""
    assert lock.endswith(",team,a")


@in_loop
async def test_a_lock_that_cannot_be_read_is_healed() -> None:
    error, lock = await bind_against_lock("yesterday, somebody")
    assert error == ""
    assert lock.endswith(",team,a")


@in_loop
async def test_a_lock_that_is_too_old_is_taken_over() -> None:
    error, lock = await bind_against_lock("2020-01-01T00:00:00Z,team,owner", pod("owner"))
    assert error == ""
    assert lock.endswith(",team,a")


@in_loop
async def test_a_pod_that_has_the_lock_already_goes_on() -> None:
    error, lock = await bind_against_lock("2999-01-01T00:00:00Z,team,a")
    assert error == ""
    assert lock == "2999-01-01T00:00:00Z,team,a"


@in_loop
async def test_a_gang_member_waits_for_the_lock() -> None:
    member = pod("a")
    member["metadata"]["labels"] = {"scheduling.x-k8s.io/pod-group": "gang"}
    locked = node("n1", late=False, **{LOCK: "2999-01-01T00:00:00Z,team,owner"})
    async with at_desk(locked, item=member, settings=Settings(lock_retry_s=20)) as (fake, desk):
        await fake.put("/api/v1/namespaces/team/pods/owner", pod("owner"))
        await desk.filtering.filter(ask(fake.item(POD), "n1"))
        binding = asyncio.create_task(desk.binding.bind(BIND))
        while fake.calls.count(("GET", NODE)) < 3:
            await asyncio.sleep(0.01)
        del fake.item(NODE)["metadata"]["annotations"][LOCK]
        assert (await binding).error == ""


@in_one_or_two_writes
@in_loop
async def test_filter_does_not_move_a_pod_that_is_being_bound(at_once: bool) -> None:
    async with at_desk(at_once=at_once) as (fake, desk):
        await desk.filtering.filter(ask(fake.item(POD), "n1"))
        gate = asyncio.Event()

        async def hold(method: str, path: str) -> web.Response | None:
            if method != "GET":
                await gate.wait()
            return None

        fake.faults.append(hold)
        binding = asyncio.create_task(desk.binding.bind(BIND))
        while not fake.writes():
            await asyncio.sleep(0.01)
        assert "being bound" in (await desk.filtering.filter(ask(fake.item(POD), "n1"))).error
        assert "being bound" in (await desk.binding.bind(BIND)).error
        gate.set()
        assert (await binding).error == ""


@in_loop
async def test_what_a_bind_wrote_is_what_the_next_leader_reads() -> None:
    async with at_desk() as (fake, desk):
        await desk.filtering.filter(ask(fake.item(POD), "n1"))
        await desk.binding.bind(BIND)
        successor = cache_of(node("n1"))
        successor.put_pod(decode_pod(json.dumps(fake.item(POD)).encode()))
        assert successor.fleet.uses("n1") == desk.cache.fleet.uses("n1")
