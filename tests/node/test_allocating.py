"""HAMi's own way of binding: one pod under the lock, compared with kubelet's books before it starts."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from tests.kube.loop import in_loop

from .world import GPU, NODE, BindingMode, World, container, pod_at, world

LOCK = "hami.io/mutex.lock"


async def locked(here: World, value: str) -> None:
    item = here.cluster.item(NODE)
    item["metadata"]["annotations"][LOCK] = value
    await here.cluster.put(NODE, item)


def told(here: World, path: str) -> dict[str, str]:
    annotations: dict[str, str] = here.cluster.item(path)["metadata"]["annotations"]
    return annotations


@in_loop
async def test_the_pod_of_the_lock_gets_its_share_at_allocate_and_frees_the_lock_with_its_last(tmp_path: Path) -> None:
    async with world(tmp_path, binding=BindingMode.ALLOCATING) as here:
        await here.start()
        assert "hami.io/binding" not in told(here, NODE)
        await here.place("b", container("main", 1000))
        await here.place("a", container("one", 2000), container("two", 3000))
        await locked(here, "2026-11-24T06:20:39Z,team,a")
        one = await here.kubelet.admit("team", "a", "one", GPU, 1)
        assert one.response.envs["CUDA_DEVICE_MEMORY_LIMIT_0"] == "2000m"
        assert told(here, pod_at("a"))["hami.io/bind-phase"] == "allocating"
        assert LOCK in told(here, NODE)
        two = await here.kubelet.admit("team", "a", "two", GPU, 1)
        assert two.response.envs["CUDA_DEVICE_MEMORY_LIMIT_0"] == "3000m"
        assert told(here, pod_at("a"))["hami.io/bind-phase"] == "success"
        assert told(here, pod_at("a"))["hami.io/vgpu-devices-to-allocate"] == ";;"
        assert LOCK not in told(here, NODE)
        for admitted in (one, two):
            await here.kubelet.pre_start(admitted)


@in_loop
async def test_without_a_lock_two_pods_that_wait_get_nothing(tmp_path: Path) -> None:
    async with world(tmp_path, binding=BindingMode.ALLOCATING) as here:
        await here.start()
        await here.place("a", container("main", 1000))
        await here.place("b", container("main", 2000))
        with pytest.raises(grpc.aio.AioRpcError, match="pod team/a and pod team/b waits"):
            await here.kubelet.admit("team", "a", "main", GPU, 1)
        assert told(here, pod_at("a"))["hami.io/bind-phase"] == "allocating"


@in_loop
async def test_a_container_that_holds_what_another_was_given_is_refused_before_it_starts(tmp_path: Path) -> None:
    async with world(tmp_path, binding=BindingMode.ALLOCATING) as here:
        await here.start()
        await here.place("a", container("main", 1000))
        # kubelet asks for one pod while another waits: the swap that guessing leads to.
        await here.cluster.put(
            pod_at("x"),
            {"kind": "Pod", "metadata": {"namespace": "team", "name": "x", "uid": "uid-x"}, "spec": {"nodeName": "n1"}},
        )
        admitted = await here.kubelet.admit("team", "x", "main", GPU, 1)
        with pytest.raises(grpc.aio.AioRpcError, match="holds what was given to pod team/a"):
            await here.kubelet.pre_start(admitted)


@in_loop
async def test_an_init_container_is_known_although_kubelet_does_not_list_it(tmp_path: Path) -> None:
    async with world(tmp_path, binding=BindingMode.ALLOCATING) as here:
        await here.start()
        await here.place("a", container("main", 2000), init=(container("first", 1000),))
        first = await here.kubelet.admit("team", "a", "first", GPU, 1, uid="uid-a", init=True)
        main = await here.kubelet.admit("team", "a", "main", GPU, 1, uid="uid-a")
        assert first.ids == main.ids
        assert first.response.envs["CUDA_DEVICE_MEMORY_LIMIT_0"] == "1000m"
        assert main.response.envs["CUDA_DEVICE_MEMORY_LIMIT_0"] == "2000m"
        for admitted in (first, main):
            await here.kubelet.pre_start(admitted)


@in_loop
async def test_another_count_fails_the_binding_and_frees_the_lock(tmp_path: Path) -> None:
    async with world(tmp_path, binding=BindingMode.ALLOCATING) as here:
        await here.start()
        await here.place("a", container("main", 1000))
        await locked(here, "2026-11-24T06:20:39Z,team,a")
        with pytest.raises(grpc.aio.AioRpcError, match=r"names 1 cards"):
            await here.kubelet.admit("team", "a", "main", GPU, 2)
        assert told(here, pod_at("a"))["hami.io/bind-phase"] == "failed"
        assert LOCK not in told(here, NODE)
