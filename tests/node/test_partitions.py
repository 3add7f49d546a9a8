"""MIG instances of containers: made where the scheduler reserved them, found again, removed with their pod alone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from tests.kube.loop import in_loop

from hami_core.fit import Fleet
from hami_core.inventory import read_inventory
from hami_core.objects import read_node, read_pod
from hami_core.packaged import packaged
from hami_core.requests import pod_request
from hami_core.testing.kubelet import Admitted
from hami_core.wire.partitions import PARTITIONS, MadePartition, decode_partitions

from .world import GPU, NODE, World, container, pod_at, world

INSTANCES = """
import json, pynvml as n
n.nvmlInit()
found = []
for index in range(n.nvmlDeviceGetCount()):
    card = n.nvmlDeviceGetHandleByIndex(index)
    for number in range(7):
        try:
            handle = n.nvmlDeviceGetMigDeviceHandleByIndex(card, number)
        except n.NVMLError:
            continue
        found.append([n.nvmlDeviceGetUUID(handle), n.nvmlDeviceGetMemoryInfo(handle).total >> 20])
print(json.dumps(found))
"""
SOMEBODY = """
import ctypes, sys, pynvml as n
n.nvmlInit()
card = n.nvmlDeviceGetHandleByIndex(0)
profile = n.nvmlDeviceGetGpuInstanceProfileInfoV(card, n.NVML_GPU_INSTANCE_PROFILE_1_SLICE).id
if sys.argv[1] == "makes":
    place = n.c_nvmlGpuInstancePlacement_t(5, 1)
    n.nvmlDeviceCreateGpuInstanceWithPlacement(card, profile, ctypes.byref(place))
else:
    rows, count = (n.c_nvmlGpuInstance_t * 7)(), ctypes.c_uint()
    n.nvmlDeviceGetGpuInstances(card, profile, rows, ctypes.byref(count))
    assert count.value == 1
    n.nvmlGpuInstanceDestroy(rows[0])
"""
HOLD = """
import ctypes, sys
cu = ctypes.CDLL("libcuda.so.1")
context, pointer = ctypes.c_void_p(), ctypes.c_uint64()
assert cu.cuInit(0) == 0 and cu.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0) == 0
assert cu.cuCtxSetCurrent(context) == 0
assert cu.cuMemAlloc_v2(ctypes.byref(pointer), ctypes.c_size_t(1 << 20)) == 0
print("ready", flush=True)
sys.stdin.readline()
"""


THEIRS = {"uuid": "MIG-5e4b1c53-0000-4000-8000-000000000001", "profile": "3g.20gb", "placement_start": 0}


@contextlib.asynccontextmanager
async def a_cut_card(folder: Path) -> AsyncIterator[World]:
    """One A100 in MIG mode, with an instance that somebody else made at its beginning."""
    machine = json.loads(packaged("hami_nvidia", "machines/a100-mig.json").read_text())
    card = next(card for card in machine["devices"] if card["mig"]["enabled"])
    card["mig"]["instances"] = [THEIRS]
    machine["devices"] = [{**card, "index": 0, "links": []}]
    (folder / "machine.json").write_text(json.dumps(machine))
    async with world(folder, "a100-mig") as here:
        here.environ["HAMI_FAKE_MACHINE"] = str(folder / "machine.json")
        yield here


def instances(here: World) -> dict[str, int]:
    """MiB of every MIG device on the node, by uuid, as the driver lists them."""
    done = subprocess.run(
        [sys.executable, "-c", INSTANCES], env=here.environ, capture_output=True, text=True, check=True, timeout=60
    )
    found: dict[str, int] = dict(json.loads(done.stdout))
    return found


def made(here: World, name: str) -> list[MadePartition | None]:
    text = here.cluster.item(pod_at(name))["metadata"]["annotations"][PARTITIONS]
    return [entry.made for entry in decode_partitions(text, what=name)]


def visible(here: World, admitted: Admitted) -> str:
    environ = dict(entry.partition("=")[::2] for entry in here.edits(admitted)["env"])
    assert environ["CUDA_VISIBLE_DEVICES"] == environ["NVIDIA_VISIBLE_DEVICES"]
    return environ["CUDA_VISIBLE_DEVICES"]


async def started(here: World, name: str, memory_mib: int = 4000) -> Admitted:
    await here.place(name, container("main", memory_mib))
    admitted = await here.kubelet.admit("team", name, "main", GPU, 1)
    await here.kubelet.pre_start(admitted)
    return admitted


@in_loop
async def test_an_instance_is_made_for_a_container_and_goes_with_its_pod(tmp_path: Path) -> None:
    async with a_cut_card(tmp_path) as here:
        await here.start()
        before = instances(here)
        admitted = await started(here, "a")
        (mine,) = instances(here).keys() - before.keys()
        assert visible(here, admitted) == mine
        assert "mounts" not in here.edits(admitted), "the driver holds the container, and no library is needed"
        (told,) = made(here, "a")
        assert told is not None
        assert told.uuid == mine
        await here.remove("a")
        assert await here.agent.clean() == 1
        assert instances(here) == before, "what others made stays"


@in_loop
async def test_a_start_again_and_a_new_agent_find_the_instance_that_is_there(tmp_path: Path) -> None:
    async with a_cut_card(tmp_path) as here:
        await here.start()
        admitted = await started(here, "a")
        there = instances(here)
        await here.kubelet.pre_start(admitted)
        await here.kill()
        await here.start()
        await here.kubelet.pre_start(admitted)
        assert instances(here) == there


@in_loop
async def test_an_instance_goes_again_where_the_rest_of_the_start_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_cut_card(tmp_path) as here:
        await here.start()
        before = instances(here)

        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(here.agent.furnisher.files, "make", full)
            with pytest.raises(grpc.aio.AioRpcError, match="No space left"):
                await started(here, "a")
        assert instances(here) == before


async def killed_while_making(here: World, monkeypatch: pytest.MonkeyPatch) -> tuple[Admitted, str]:
    """An agent that is gone once the driver has made the instance, and before anything says so; whose it is."""
    before = instances(here)

    def killed(*_: object, **__: object) -> None:
        raise RuntimeError("nothing is taken back, as by kill -9")

    with monkeypatch.context() as patched:
        patched.setattr(here.agent.furnisher, "furnish", killed)
        await here.place("a", container("main", 4000))
        admitted = await here.kubelet.admit("team", "a", "main", GPU, 1)
        with pytest.raises(grpc.aio.AioRpcError):
            await here.kubelet.pre_start(admitted)
    await here.kill()
    (orphan,) = instances(here).keys() - before.keys()
    return admitted, orphan


@in_loop
async def test_an_instance_whose_agent_was_killed_before_it_was_written_down_goes_with_the_pod(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_cut_card(tmp_path) as here:
        await here.start()
        before, free = instances(here), places(here)
        await killed_while_making(here, monkeypatch)
        await here.start()
        assert places(here) == free, "its place is ours, and the pod that it was made for holds it"
        assert await here.agent.clean() == 0, "the pod is still there"
        await here.remove("a")
        assert await here.agent.clean() == 1
        assert instances(here) == before
        assert await here.agent.clean() == 0


@in_loop
async def test_an_instance_whose_agent_was_killed_is_the_container_s_when_it_starts_after_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_cut_card(tmp_path) as here:
        await here.start()
        before = instances(here)
        admitted, orphan = await killed_while_making(here, monkeypatch)
        await here.start()
        await here.kubelet.pre_start(admitted)
        assert visible(here, admitted) == orphan
        await here.remove("a")
        assert await here.agent.clean() == 1
        assert instances(here) == before


@in_loop
async def test_an_instance_in_use_stays_until_it_is_not(tmp_path: Path) -> None:
    async with a_cut_card(tmp_path) as here:
        await here.start()
        before = instances(here)
        admitted = await started(here, "a")
        user = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", HOLD),
            env={**here.environ, "CUDA_VISIBLE_DEVICES": visible(here, admitted)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert user.stdout is not None
        assert await user.stdout.readline() == b"ready\n"
        await here.remove("a")
        assert await here.agent.clean() == 0
        assert instances(here) != before
        with contextlib.suppress(ProcessLookupError):
            user.kill()
        await user.wait()
        assert await here.agent.clean() == 1
        assert instances(here) == before


@in_loop
async def test_a_driver_that_makes_nothing_refuses_the_start_for_now(tmp_path: Path) -> None:
    async with a_cut_card(tmp_path) as here:
        await here.start()
        before = instances(here)
        here.environ["HAMI_FAKE_FAULTS"] = "nvmlGpuInstanceCreateComputeInstance=999"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await started(here, "a")
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert not list(here.settings.paths.cdi.glob("*.json"))
        del here.environ["HAMI_FAKE_FAULTS"]
        assert instances(here) == before


def places(here: World) -> dict[str, list[int]]:
    """Where instances of each profile may begin, as the scheduler is told."""
    (device,) = read_inventory(read_node(here.cluster.item(NODE)), here.registry).devices
    return {profile.name: [place.start for place in profile.placements] for profile in device.profiles}


@in_loop
async def test_places_of_instances_that_others_made_are_not_registered_and_ours_are(tmp_path: Path) -> None:
    async with a_cut_card(tmp_path) as here:
        await here.start()
        told = places(here)
        assert told["3g.20gb"] == [4]
        assert told["7g.40gb"] == []
        assert min(told["1g.5gb"]) == 4
        admitted = await started(here, "a")
        await here.agent.refresh()
        assert places(here) == told, "an instance of our own is told by its pod"
        await here.kill()
        await here.start()
        assert places(here) == told, "and is known by its record"
        await here.kubelet.pre_start(admitted)
        await here.remove("a")
        await here.agent.clean()
        await here.agent.refresh()
        assert places(here) == told


@in_loop
async def test_a_pod_that_fits_only_where_others_have_an_instance_does_not_fit(tmp_path: Path) -> None:
    async with a_cut_card(tmp_path) as here:
        await here.start()
        node = read_inventory(read_node(here.cluster.item(NODE)), here.registry)
        fleet = Fleet(here.registry)
        fleet.upsert_node(node.node, node.devices)

        def fits(memory_mib: int) -> bool:
            pod = {"metadata": {"name": "a"}, "spec": {"containers": [container("main", memory_mib)]}}
            return fleet.decide(pod_request(read_pod(pod), here.registry)).best is not None

        assert fits(19000)
        assert not fits(30000)


@in_loop
async def test_places_go_and_come_back_with_instances_that_others_make_and_remove(tmp_path: Path) -> None:
    async with a_cut_card(tmp_path) as here:
        await here.start()
        told = places(here)

        async def somebody(does: str) -> None:
            command = [sys.executable, "-c", SOMEBODY, does]
            await asyncio.to_thread(subprocess.run, command, env=here.environ, check=True, timeout=60)
            await here.agent.refresh()

        await somebody("makes")
        assert places(here)["1g.5gb"] == [start for start in told["1g.5gb"] if start != 5]
        assert places(here)["3g.20gb"] == []
        await somebody("removes")
        assert places(here) == told
