"""A resize reaches a process that runs: its library goes by the new limits, and too much in use is said."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from tests.kube.fake_api import until
from tests.kube.loop import in_loop

from hami_core.isolation.rewriting import read_limits
from hami_core.wire.resize import APPLIED, RESIZED, decode_applied

from .world import GPU, World, container, pod_at, world

HELD = "hami.io/vgpu-devices-allocated"
# Holds as many GiB as it is told to on each line, and answers what it got.
HOLD = """
import ctypes, sys
cu = ctypes.CDLL("libcuda.so.1")
context, pointer = ctypes.c_void_p(), ctypes.c_uint64()
assert cu.cuInit(0) == 0 and cu.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0) == 0
assert cu.cuCtxSetCurrent(context) == 0
for line in sys.stdin:
    print(cu.cuMemAlloc_v2(ctypes.byref(pointer), ctypes.c_size_t(int(line) << 20)), flush=True)
"""


class Process:
    """A process of a container, with what its CDI spec says."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self._child = child

    async def allocate(self, mib: int) -> int:
        """The driver's answer to a request for so much."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(f"{mib}\n".encode())
        return int(await asyncio.wait_for(self._child.stdout.readline(), 30))


@contextlib.asynccontextmanager
async def a_process(here: World, name: str, memory_mib: int) -> AsyncIterator[Process]:
    await here.place(name, container("main", memory_mib))
    admitted = await here.kubelet.admit("team", name, "main", GPU, 1)
    await here.kubelet.pre_start(admitted)
    edits = here.edits(admitted)
    environ = dict(entry.partition("=")[::2] for entry in edits["env"])
    mounts = {mount["containerPath"]: mount["hostPath"] for mount in edits["mounts"]}
    preload = Path(mounts["/etc/ld.so.preload"]).read_text().strip()
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HOLD),
        env={**here.environ, **environ, "LD_PRELOAD": preload},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Process(child)
    finally:
        child.kill()
        await child.wait()


async def resized(here: World, name: str, memory_mib: int, wish_id: str) -> None:
    """What the scheduler writes once it has granted a wish."""
    item = here.cluster.item(pod_at(name))
    told = item["metadata"]["annotations"]
    uuid = told[HELD].split(",")[0]
    told[HELD] = f"{uuid},NVIDIA,{memory_mib},0:;"
    told[RESIZED] = json.dumps({"id": wish_id, "outcome": "done", "message": ""})
    await here.cluster.put(pod_at(name), item)


def applied(here: World, name: str, wish_id: str) -> str | None:
    """What the node said of a wish; None while it has not."""
    told = decode_applied(here.cluster.item(pod_at(name))["metadata"]["annotations"].get(APPLIED, ""))
    return None if told is None or told.id != wish_id else told.message


@in_loop
async def test_a_running_process_gets_more_and_then_no_more_without_losing_what_it_has(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.start()
        async with a_process(here, "a", 4000) as process:
            assert await process.allocate(2000) == 0
            assert await process.allocate(4000) == 2, "over 4000 MiB"
            await resized(here, "a", 9000, "w1")
            await until(lambda: applied(here, "a", "w1") is not None, patience_s=30)
            assert applied(here, "a", "w1") == ""
            await asyncio.sleep(0.1)  # the library looks at the file every 50 ms at most
            assert await process.allocate(4000) == 0
            await resized(here, "a", 3000, "w2")
            await until(lambda: applied(here, "a", "w2") is not None, patience_s=30)
            assert "MiB in use, limit 3000 MiB" in (applied(here, "a", "w2") or "")
            await asyncio.sleep(0.1)
            assert await process.allocate(1) == 2
            await until(lambda: any(event["reason"] == "LimitBelowUse" for event in here.cluster.events))


@in_loop
async def test_a_resize_that_came_while_no_agent_ran_is_carried_out_by_the_next(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.start()
        await here.place("a", container("main", 4000))
        await here.kubelet.pre_start(await here.kubelet.admit("team", "a", "main", GPU, 1))
        (record,) = here.agent.furnisher.files.records()
        folder = here.agent.furnisher.files.folder(record.uid, record.container, record.family)
        await here.kill()
        await resized(here, "a", 5000, "w1")
        await here.start()
        await until(lambda: applied(here, "a", "w1") == "", patience_s=30)
        limits = read_limits(folder.limits)
        assert limits is not None
        assert limits.devices[0].memory_mib == 5000


@in_loop
async def test_words_of_the_monitor_and_of_later_versions_stay_in_the_file(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.start()
        await here.place("a", container("main", 4000))
        await here.kubelet.pre_start(await here.kubelet.admit("team", "a", "main", GPU, 1))
        (file,) = here.settings.paths.files.rglob("limits")
        text = file.read_text().rstrip() + " contended=no yield=yes later=7\nnew line\n"
        file.unlink()
        file.write_text(text)
        await resized(here, "a", 5000, "w1")
        await until(lambda: applied(here, "a", "w1") == "", patience_s=30)
        assert file.read_text() == text.replace("memory_mib=4000", "memory_mib=5000")


@in_loop
async def test_a_container_that_holds_the_lock_of_its_folder_stops_nobody_else(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.start()
        for name in ("a", "b"):
            await here.place(name, container("main", 4000))
            await here.kubelet.pre_start(await here.kubelet.admit("team", name, "main", GPU, 1))
        folder = here.agent.furnisher.files.folder("uid-a", "main", "NVIDIA").path
        descriptor = os.open(folder, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        await resized(here, "a", 5000, "w1")
        await resized(here, "b", 5000, "w1")
        await until(lambda: applied(here, "b", "w1") == "", patience_s=30)
        assert applied(here, "a", "w1") is None
        os.close(descriptor)
        await until(lambda: applied(here, "a", "w1") == "", patience_s=60)


@in_loop
async def test_a_container_without_the_library_is_said_to_be_held_by_the_books_alone(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.start()
        await here.place("a", container("main", 46068))
        await here.kubelet.pre_start(await here.kubelet.admit("team", "a", "main", GPU, 1))
        await resized(here, "a", 5000, "w1")
        await until(lambda: applied(here, "a", "w1") is not None, patience_s=30)
        assert "without the isolation library" in (applied(here, "a", "w1") or "")
