"""`hami resize lease`: a command that runs gets other limits, and the books keep count."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.kube.fake_api import fake_api
from tests.kube.loop import in_loop
from tests.kube.world import placed

from .conftest import HAMI, Hami

MACHINE = ("--simulate", "t4")  # one card of 15360 MiB
# Holds as many MiB as each line says, and answers what the driver said.
HOLD = """
import ctypes, sys
cu = ctypes.CDLL("libcuda.so.1")
context, pointer = ctypes.c_void_p(), ctypes.c_uint64()
assert cu.cuInit(0) == 0 and cu.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0) == 0
assert cu.cuCtxSetCurrent(context) == 0
print("ready", flush=True)
for line in sys.stdin:
    print(cu.cuMemAlloc_v2(ctypes.byref(pointer), ctypes.c_size_t(int(line) << 20)), flush=True)
"""
OUT_OF_MEMORY = 2


class Holder:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert self._line() == "ready\n", process.communicate()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def allocate(self, mib: int) -> int:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{mib}\n")
        self.process.stdin.flush()
        return int(self._line())


@pytest.fixture
def holder(environ: dict[str, str]) -> Iterator[Holder]:
    command = [HAMI, "run", *MACHINE, "--memory", "4000", "--", sys.executable, "-c", HOLD]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ
    ) as process:
        try:
            yield Holder(process)
        finally:
            process.terminate()


def lease(hami: Hami) -> dict[str, Any]:
    (only,) = json.loads(hami("ps", *MACHINE, "-o", "json").out)["leases"]
    found: dict[str, Any] = only
    return found


def test_a_running_command_goes_by_its_new_limits_and_keeps_what_it_has(hami: Hami, holder: Holder) -> None:
    assert holder.allocate(3000) == 0
    assert holder.allocate(3000) == OUT_OF_MEMORY
    name = lease(hami)["id"]
    outcome = hami("resize", "lease", name[:6], "--memory", "9000", "--cores", "40", *MACHINE)
    assert outcome.code == 0, outcome.err
    assert outcome.out.endswith("9000 MiB, 40 % of cores\n")
    time.sleep(0.1)  # the library looks at the file every 50 ms at most
    assert holder.allocate(3000) == 0
    shrunk = hami("resize", "lease", name, "--memory", "2000", *MACHINE)
    assert shrunk.code == 0, shrunk.err
    assert "MiB in use, limit 2000 MiB" in shrunk.out
    time.sleep(0.1)
    assert holder.allocate(1) == OUT_OF_MEMORY
    (device,) = lease(hami)["devices"]
    assert (device["memory_limit_mib"], device["core_limit_percent"]) == (2000, 40)


@pytest.mark.usefixtures("holder")
def test_more_than_the_others_leave_is_refused_and_changes_nothing(hami: Hami, environ: dict[str, str]) -> None:
    with subprocess.Popen(
        [HAMI, "run", *MACHINE, "--memory", "10000", "--", "sh", "-c", "echo up; exec sleep 300"],
        stdout=subprocess.PIPE, text=True, env=environ,
    ) as other:  # fmt: skip
        assert other.stdout is not None
        assert other.stdout.readline() == "up\n"
        name = next(
            each["id"]
            for each in json.loads(hami("ps", *MACHINE, "-o", "json").out)["leases"]
            if each["devices"][0]["memory_limit_mib"] == 4000
        )
        refused = hami("resize", "lease", name, "--memory", "5361", *MACHINE)
        assert refused.code == 75
        assert "5361 MiB asked, 5360 MiB not held by others" in refused.err
        assert hami("resize", "lease", name, "--memory", "5360", *MACHINE).code == 0
        other.kill()


def test_what_names_no_lease_and_asks_for_nothing_is_said(hami: Hami) -> None:
    assert "no lease named" in hami("resize", "lease", "abc", "--memory", "1", *MACHINE).err
    assert "give --memory, --cores or both" in hami("resize", "lease", "abc", *MACHINE).err


@in_loop
async def test_without_a_scheduler_a_wish_stays_on_the_pod_and_that_is_said(tmp_path: Path) -> None:

    async with fake_api() as (cluster, api):
        path = "/api/v1/namespaces/team/pods/a"
        await cluster.put(path, placed("a", "GPU-n-0", "n", 4000))
        config = {
            "clusters": [{"name": "c", "cluster": {"server": api.host}}],
            "users": [{"name": "u", "user": {"token": "secret"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
        asked = await asyncio.create_subprocess_exec(
            *(HAMI, "resize", "pod", "team/a", "--memory", "5000", "--timeout", "0"),
            *("--kubeconfig", str(tmp_path / "kubeconfig")),
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await asked.communicate()
        assert asked.returncode == 2
        assert b"no scheduler answered" in said
        wish = json.loads(cluster.item(path)["metadata"]["annotations"]["hami.io/resize"])
        assert wish["memoryMiB"] == 5000
