"""A pod's way on the node: from the scheduler's annotation to a process that sees its share."""

from __future__ import annotations

import asyncio
import json
import stat
from pathlib import Path

import grpc
import pytest
from tests.kube.fake_api import until
from tests.kube.loop import in_loop

from hami_core.isolation.limits import parse_limits
from hami_core.node.books import CHECKPOINT

from .world import GPU, NODE, World, container, pod_at, world


@in_loop
async def test_a_pod_gets_its_share_and_a_process_inside_sees_it(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.start()
        await here.place("a", container("main", 6000))
        admitted = await here.kubelet.admit("team", "a", "main", GPU, 1)
        assert not admitted.response.envs, "nothing is promised before it is known whose container it is"
        assert not here.spec(admitted).exists()
        await here.kubelet.pre_start(admitted)
        assert here.seen_inside(admitted) == [6000]
        assert here.cluster.item(pod_at("a"))["metadata"]["annotations"]["hami.io/bind-phase"] == "success"


@in_loop
async def test_containers_that_start_in_any_order_each_get_their_own(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.start()
        await here.place("a", container("one", 1000), container("none", gpus=0), container("two", 2000, gpus=2))
        await here.place("b", container("main", 4000), init=(container("first", 3000),))
        asked = [("a", "one", 1), ("b", "first", 1), ("a", "two", 2), ("b", "main", 1)]
        given = {
            (pod, name): await here.kubelet.admit("team", pod, name, GPU, count, uid=f"uid-{pod}", init=name == "first")
            for pod, name, count in asked
        }
        assert given["b", "first"].ids == given["b", "main"].ids, "kubelet gives an init container's ids out again"
        await asyncio.gather(*(here.kubelet.pre_start(admitted) for admitted in reversed(given.values())))
        assert {place: here.seen_inside(admitted) for place, admitted in given.items()} == {
            ("a", "one"): [1000],
            ("a", "two"): [2000, 2000],
            ("b", "first"): [3000],
            ("b", "main"): [4000],
        }


@in_loop
async def test_an_init_container_with_more_cards_than_the_others_gets_them(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.start()
        await here.place("a", container("main", 4000), init=(container("first", 3000, gpus=2),))
        first = await here.kubelet.admit("team", "a", "first", GPU, 2, uid="uid-a", init=True)
        main = await here.kubelet.admit("team", "a", "main", GPU, 1, uid="uid-a")
        await here.kubelet.pre_start(first)
        assert here.seen_inside(first) == [3000, 3000]
        await here.kubelet.pre_start(main)
        assert here.seen_inside(main) == [4000]


@in_loop
async def test_a_pod_with_init_containers_waits_while_kubelets_checkpoint_cannot_be_read(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.start()
        await here.place("a", container("main", 4000), init=(container("first", 3000),))
        first = await here.kubelet.admit("team", "a", "first", GPU, 1, uid="uid-a", init=True)
        await here.kubelet.admit("team", "a", "main", GPU, 1, uid="uid-a")
        checkpoint = here.kubelet.plugins / CHECKPOINT
        content = checkpoint.read_bytes()
        checkpoint.write_bytes(content[:-5])
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await here.kubelet.pre_start(first)
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
        checkpoint.write_bytes(content)
        await here.kubelet.pre_start(first)
        assert here.seen_inside(first) == [3000]


@in_loop
async def test_the_node_says_what_it_has_and_that_no_lock_is_needed(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.start()
        told = here.cluster.item(NODE)["metadata"]["annotations"]
        cards = json.loads(told["hami.io/node-nvidia-register"])
        assert [(card["count"], card["devmem"], card["type"]) for card in cards] == [(10, 46068, "NVIDIA A40")] * 2
        assert told["hami.io/binding"] == "late"
        assert len(here.kubelet.devices(GPU)) == 20


@in_loop
async def test_a_container_that_nobody_placed_is_refused_with_an_event(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.start()
        item = await here.place("a", container("main"))
        item["metadata"]["annotations"] = {}
        await here.cluster.put(pod_at("a"), item)
        admitted = await here.kubelet.admit("team", "a", "main", GPU, 1)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await here.kubelet.pre_start(admitted)
        assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert "no scheduler of HAMi placed the pod" in str(refused.value.details())
        assert not here.spec(admitted).exists()
        await until(lambda: here.cluster.events)
        assert here.cluster.events[0]["reason"] == "DevicesRefused"
        assert here.cluster.events[0]["involvedObject"]["name"] == "a"


@in_loop
async def test_another_count_than_was_assigned_is_refused(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.start()
        await here.place("a", container("main"))
        admitted = await here.kubelet.admit("team", "a", "main", GPU, 2)
        with pytest.raises(grpc.aio.AioRpcError, match=r"kubelet gives it 2 of nvidia\.com/gpu"):
            await here.kubelet.pre_start(admitted)


@in_loop
async def test_a_card_that_is_not_here_is_refused(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.start()
        item = await here.place("a", container("main"))
        item["metadata"]["annotations"]["hami.io/vgpu-devices-allocated"] = "GPU-else,NVIDIA,6000,0:;"
        await here.cluster.put(pod_at("a"), item)
        admitted = await here.kubelet.admit("team", "a", "main", GPU, 1)
        with pytest.raises(grpc.aio.AioRpcError, match="is assigned card GPU-else"):
            await here.kubelet.pre_start(admitted)


@in_loop
async def test_ids_that_nobody_holds_are_refused(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.start()
        await here.place("a", container("main"))
        admitted = await here.kubelet.admit("team", "a", "main", GPU, 1)
        here.kubelet.forget("team", "a")
        with pytest.raises(grpc.aio.AioRpcError, match="nobody holds"):
            await here.kubelet.pre_start(admitted)


@in_loop
async def test_a_pod_that_ended_does_not_stand_in_the_way_of_who_got_its_ids(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.start()
        old = await here.place("old", container("main", 1000))
        first = await here.kubelet.admit("team", "old", "main", GPU, 1, uid="uid-old")
        await here.kubelet.pre_start(first)
        old["status"]["phase"] = "Succeeded"
        await here.cluster.put(pod_at("old"), old)
        await here.place("new", container("main", 2000))
        second = await here.kubelet.admit("team", "new", "main", GPU, 1, ids=first.ids, uid="uid-new")
        await here.kubelet.pre_start(second)
        assert here.seen_inside(second) == [2000]
        await here.remove("old")
        assert await here.agent.clean() == 1
        assert here.seen_inside(second) == [2000], "the spec is the new pod's"


@in_loop
async def test_a_container_with_all_of_its_card_runs_without_the_library(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.start()
        await here.place("a", container("main", 46068))
        admitted = await here.kubelet.admit("team", "a", "main", GPU, 1)
        await here.kubelet.pre_start(admitted)
        edits = here.edits(admitted)
        assert "mounts" not in edits
        assert [entry.partition("=")[0] for entry in edits["env"]] == ["CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"]


@in_loop
async def test_the_limits_are_closed_to_the_container_and_its_region_is_open(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.start()
        await here.place("a", container("main", 6000))
        admitted = await here.kubelet.admit("team", "a", "main", GPU, 1)
        await here.kubelet.pre_start(admitted)
        (folder,) = (here.settings.paths.files / "containers" / "uid-a_main").iterdir()
        assert stat.S_IMODE((folder / "limits").stat().st_mode) == 0o444
        assert stat.S_IMODE((folder / "region").stat().st_mode) == 0o666
        assert parse_limits((folder / "limits").read_text()).devices[0].memory_mib == 6000
        mounts = {mount["containerPath"]: mount["options"][0] for mount in here.edits(admitted)["mounts"]}
        assert mounts[str(folder)] == "ro"
        assert mounts[str(folder / "region")] == "rw"
        assert mounts["/etc/ld.so.preload"] == "ro"


def _registered(here: World) -> int:
    return len(here.kubelet.registrations)


@in_loop
async def test_an_agent_killed_between_allocate_and_start_loses_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.start()
        await here.place("a", container("main", 6000))
        admitted = await here.kubelet.admit("team", "a", "main", GPU, 1)
        await here.kill()
        with pytest.raises(grpc.aio.AioRpcError):
            await here.kubelet.pre_start(admitted)
        await here.start()
        await here.kubelet.pre_start(admitted)
        assert here.seen_inside(admitted) == [6000]


@in_loop
async def test_a_kubelet_that_restarts_is_registered_with_again(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.start()
        await here.place("a", container("main", 6000))
        admitted = await here.kubelet.admit("team", "a", "main", GPU, 1)
        await here.kubelet.stop()
        await here.kubelet.start()
        await until(lambda: _registered(here) == 2 and here.kubelet.devices(GPU), patience_s=30)
        await here.kubelet.pre_start(admitted)
        assert here.seen_inside(admitted) == [6000]


@in_loop
async def test_an_api_server_that_is_gone_for_a_while_only_delays_a_start(tmp_path: Path) -> None:
    from aiohttp import web

    async with world(tmp_path) as here:
        await here.start()
        await here.place("a", container("main", 6000))
        admitted = await here.kubelet.admit("team", "a", "main", GPU, 1)

        async def gone(method: str, path: str) -> web.Response:
            return web.json_response({"message": "not now"}, status=503)

        here.cluster.faults.append(gone)
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await here.kubelet.pre_start(admitted)
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
        here.cluster.faults.clear()
        await here.kubelet.pre_start(admitted)
        assert here.seen_inside(admitted) == [6000]


@in_loop
async def test_what_a_pod_had_goes_when_it_is_gone_and_not_before(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.start()
        for name in ("a", "b"):
            await here.place(name, container("main", 6000))
            await here.kubelet.pre_start(await here.kubelet.admit("team", name, "main", GPU, 1))
        kept, gone = (here.settings.paths.files / "containers" / f"uid-{name}_main" for name in "ab")
        assert await here.agent.clean() == 0
        await here.cluster.delete(pod_at("b"))
        assert await here.agent.clean() == 0, "kubelet still runs it"
        here.kubelet.forget("team", "b")
        assert await here.agent.clean() == 1
        assert kept.is_dir()
        assert not gone.exists()
        assert len(list(here.settings.paths.cdi.iterdir())) == 1


@in_loop
async def test_a_start_is_answered_the_same_again(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.start()
        await here.place("a", container("main", 6000))
        admitted = await here.kubelet.admit("team", "a", "main", GPU, 1)
        await here.kubelet.pre_start(admitted)
        first = here.spec(admitted).read_bytes()
        await here.kubelet.pre_start(admitted)
        assert here.spec(admitted).read_bytes() == first
