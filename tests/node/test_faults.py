"""Whatever breaks at whatever moment: nothing is lost, nothing is handed out twice, and the next try ends well."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sys
import time
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from tests.kube.fake_api import fake_api, until
from tests.kube.loop import in_loop

import hami_dcu
import hami_nvidia
from hami_core.kube import events
from hami_core.model import Device
from hami_core.node import registration, telling
from hami_core.node.health import HealthRules
from hami_core.node.registration import Registration
from hami_core.registry import load_registry
from hami_core.testing.kubelet import Admitted

from .world import GPU, NODE, World, container, pod_at, world

HELD = "hami.io/vgpu-devices-allocated"
# The agent, killed as by kill -9 when it comes to one of its steps.
KILLED_AT = """
import os, signal, sys
from importlib import import_module

module, _, path = sys.argv.pop(1).partition(":")
*owners, name = path.split(".")
owner = import_module(module)
for each in owners:
    owner = getattr(owner, each)
setattr(owner, name, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
from hami_core.cli import main
main()
"""
STEPS = [
    "hami_core.node.late:read_assignment",
    "hami_core.node.files:NodeFiles.make",
    "hami_core.isolation.limits:LimitsFile.write",
    "hami_core.node.cdi:write",
    "hami_core.node.late:mark_allocated",
]


async def killed_agent(here: World, step: str) -> asyncio.subprocess.Process:
    config = {
        "clusters": [{"name": "c", "cluster": {"server": here.api.host}}],
        "users": [{"name": "u", "user": {"token": "secret"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    kubeconfig = here.folder / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    paths = here.settings.paths
    agent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", KILLED_AT, step, "node-agent", "--node-name=n1", f"--kubeconfig={kubeconfig}"),
        *(f"--plugins-dir={paths.plugins}", f"--pod-resources-socket={paths.pod_resources}"),
        *(f"--cdi-dir={paths.cdi}", f"--files-dir={paths.files}"),
        env=here.environ,
        stderr=asyncio.subprocess.DEVNULL,
    )
    await until(lambda: here.kubelet.devices(GPU), patience_s=120)
    return agent


async def refusal(here: World, admitted: Admitted) -> grpc.aio.AioRpcError | None:
    """What kubelet is told at PreStart; None where the container may start."""
    try:
        await here.kubelet.pre_start(admitted)
    except grpc.aio.AioRpcError as err:
        return err
    return None


@pytest.mark.parametrize("step", STEPS)
@in_loop
async def test_an_agent_killed_at_this_step_of_a_start_is_followed_by_one_that_ends_it(
    step: str, tmp_path: Path
) -> None:
    async with world(tmp_path) as here:
        agent = await killed_agent(here, step)
        await here.place("a", container("main", 6000))
        admitted = await here.kubelet.admit("team", "a", "main", GPU, 1)
        with pytest.raises(grpc.aio.AioRpcError):
            await here.kubelet.pre_start(admitted)
        assert await agent.wait() == -signal.SIGKILL
        await here.start()
        await here.kubelet.pre_start(admitted)
        assert here.seen_inside(admitted) == [6000]
        told = here.cluster.item(pod_at("a"))["metadata"]["annotations"]
        assert told["hami.io/bind-phase"] == "success"
        assert "," not in told["hami.io/vgpu-devices-to-allocate"]


@in_loop
async def test_a_disk_that_is_full_at_any_write_refuses_the_start_and_leaves_nothing_half_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path) as here:
        await here.start()
        await here.place("a", container("main", 6000))
        admitted = await here.kubelet.admit("team", "a", "main", GPU, 1)
        roots = tuple(str(path) for path in (here.settings.paths.files, here.settings.paths.cdi))
        real, room = os.open, [0]

        def full(path: Any, flags: int, *rest: Any, **named: Any) -> int:
            if flags & os.O_CREAT and str(path).startswith(roots):
                if room[0] == 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
                room[0] -= 1
            return real(path, flags, *rest, **named)

        monkeypatch.setattr(os, "open", full)
        refused = 0
        while (said := await refusal(here, admitted)) is not None:
            assert said.code() is grpc.StatusCode.UNAVAILABLE
            assert "No space left" in (said.details() or "")
            assert not here.spec(admitted).exists(), "a container must not start with half of its files"
            refused += 1
            room[0] = refused
        assert refused >= 4, "region, record, limits and spec are written"
        assert here.seen_inside(admitted) == [6000]
        drafts = [file for root in roots for file in Path(root).rglob(".*") if file.is_file()]
        assert drafts == []


@in_loop
async def test_a_region_cut_short_hinders_neither_a_start_nor_the_cleaning(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.start()
        await here.place("a", container("main", 6000))
        admitted = await here.kubelet.admit("team", "a", "main", GPU, 1)
        await here.kubelet.pre_start(admitted)
        assert here.seen_inside(admitted) == [6000]
        (region,) = here.settings.paths.files.rglob("region")
        os.truncate(region, 100)
        await here.kubelet.pre_start(admitted)
        await here.remove("a")
        assert await here.agent.clean() == 1
        assert not region.exists()


@in_loop
async def test_a_pod_whose_assignment_was_deleted_by_hand_does_not_start_and_its_spec_is_withdrawn(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as here:
        await here.start()
        pod = await here.place("a", container("main", 6000))
        admitted = await here.kubelet.admit("team", "a", "main", GPU, 1)
        await here.kubelet.pre_start(admitted)
        text = pod["metadata"]["annotations"].pop(HELD)
        await here.cluster.put(pod_at("a"), pod)
        with pytest.raises(grpc.aio.AioRpcError, match="names 0 cards"):
            await here.kubelet.pre_start(admitted)
        assert not here.spec(admitted).exists()
        assert await here.agent.clean() == 0, "its container may run still"
        pod["metadata"]["annotations"][HELD] = text
        await here.cluster.put(pod_at("a"), pod)
        await here.kubelet.pre_start(admitted)
        assert here.seen_inside(admitted) == [6000]


@in_loop
async def test_two_hundred_containers_that_start_at_once_each_get_their_own(tmp_path: Path) -> None:
    count = 200
    async with world(tmp_path) as here:
        await here.start(split_count=count)
        names = [f"pod-{number:03d}" for number in range(count)]
        for number, name in enumerate(names):
            await here.place(name, container("main", 100 + number))
        admissions = [await here.kubelet.admit("team", name, "main", GPU, 1) for name in names]
        await asyncio.gather(*(here.kubelet.pre_start(admitted) for admitted in admissions))
        assert len({here.spec(admitted) for admitted in admissions}) == count
        for number, admitted in enumerate(admissions):
            assert f"CUDA_DEVICE_MEMORY_LIMIT_0={100 + number}m" in here.edits(admitted)["env"]
        for name in names[::2]:
            await here.remove(name)
        assert await here.agent.clean() == count // 2
        assert [here.spec(admitted).exists() for admitted in admissions] == [False, True] * (count // 2)


@in_loop
async def test_agents_of_two_vendors_that_write_at_the_same_time_both_have_their_say() -> None:
    nvidia = Device(uuid="GPU-a", family="NVIDIA", model="NVIDIA A40", memory_mib=46068, slots=10, mode="hami-core")
    dcu = Device(uuid="DCU-0", family="DCU", model="DCU-Z100", memory_mib=32768, slots=4, mode="hami-core")
    async with fake_api() as (cluster, api):
        await cluster.put(NODE, {"kind": "Node", "metadata": {"name": "n1", "annotations": {"theirs": "kept"}}})
        agents = [
            (Registration(api, "n1", load_registry(plugins=[hami_nvidia, hami_dcu]), late=True), card)
            for card in (nvidia, dcu)
        ]
        for _ in range(3):
            await asyncio.gather(*(agent.sync([card]) for agent, card in agents))
        told = cluster.item(NODE)["metadata"]["annotations"]
        assert "GPU-a" in told["hami.io/node-nvidia-register"]
        assert "DCU-0" in told["hami.io/node-dcu-register"]
        assert told["theirs"] == "kept"
        assert "hami.io/binding" not in told, "neither speaks for the whole node"


class WallClock:
    """The time of day, moved for all of our modules: gRPC's deadlines need Python's and the kernel's to agree."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.off = timedelta()
        clock, time_s, time_ns = self, time.time, time.time_ns

        class Moved(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override] # a test never needs more
                return datetime.now(tz) + clock.off

        monkeypatch.setattr(time, "time", lambda: time_s() + self._off_s())
        monkeypatch.setattr(time, "time_ns", lambda: time_ns() + int(self._off_s()) * 10**9)
        for module in (events, registration, telling):
            monkeypatch.setattr(module, "datetime", Moved)

    def _off_s(self) -> float:
        ours = str(sys._getframe(2).f_globals["__name__"]).startswith("hami_")
        return self.off.total_seconds() if ours else 0.0


@in_loop
async def test_a_wall_clock_that_jumps_makes_no_card_recover_no_pod_move_and_no_file_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall, now_s = WallClock(monkeypatch), [1000.0]
    async with world(tmp_path) as here:
        here.clock = lambda: now_s[0]
        await here.start(health=HealthRules(recovery_s=120), evict_after_s=600.0)
        await here.place("a", container("main", gpus=2))
        admitted = await here.kubelet.admit("team", "a", "main", GPU, 2)
        await here.kubelet.pre_start(admitted)
        told = dict(here.cluster.item(NODE)["metadata"]["annotations"])

        async def conditions_after(jump: timedelta) -> set[str]:
            wall.off += jump
            await here.agent.refresh()
            assert await here.agent.clean() == 0
            assert here.spec(admitted).exists()
            assert pod_at("a") in here.cluster.objects
            return {str(each.condition) for each in here.agent.discovery.health.values()}

        broken = {"HAMI_FAKE_FAULTS": "nvmlDeviceGetMemoryInfo=15,nvmlDeviceGetMemoryInfo_v2=15"}
        here.environ.update(broken)
        for jump in (timedelta(), timedelta(days=3650), timedelta(days=-7300)):
            assert await conditions_after(jump) == {"unhealthy"}
        for name in broken:
            del here.environ[name]
        for jump in (timedelta(), timedelta(days=7300), timedelta(days=-3650)):
            assert await conditions_after(jump) == {"recovering"}
        now_s[0] += 120
        assert await conditions_after(timedelta(days=-1)) == {"healthy"}
        assert here.cluster.item(NODE)["metadata"]["annotations"] == told
        await here.remove("a")
        assert await here.agent.clean() == 1
