"""Programs that know nothing of HAMi, inside a share of a simulated card: all show and get the same share.

Run by ``make test-clients``, which installs numba; nvtop comes from the system. What they do of their own accord lies
in ``programs``, from where ``make record-traces`` takes it too.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

SCRIPTS = Path(sysconfig.get_path("scripts"))
PROGRAMS = Path(__file__).resolve().parent / "programs"
SHARE_MIB = 8000
ROWS, COLUMNS = 40, 200
PATIENCE_S = 60

# Holds 3000 MiB by cuda-python, runs the command of its arguments, and prints what CUDA said and what that printed.
HOLD = """
import json, subprocess, sys
from cuda.bindings import driver as cu

def ok(result):
    assert int(result[0]) == 0, result
    return result[1] if len(result) == 2 else result[1:]

ok(cu.cuInit(0))
ok(cu.cuCtxSetCurrent(ok(cu.cuDevicePrimaryCtxRetain(0))))
pointer = ok(cu.cuMemAlloc(3000 << 20))
free, total = ok(cu.cuMemGetInfo())
shown = subprocess.run(sys.argv[1:], capture_output=True, text=True, check=True).stdout
print(json.dumps({"used_mib": total - free >> 20, "total_mib": total >> 20, "shown": shown}))
"""

# What the tools' own libraries say of the card that CUDA sees, beside each other.
TOOLS = """
import json, sys
import pynvml
memory = pynvml.nvmlDeviceGetMemoryInfo  # gpustat puts one of its own in its place
import gpustat, nvitop

pynvml.nvmlInit()
handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
(index,) = [i for i, h in enumerate(handles) if memory(h).total >> 20 == int(sys.argv[1])]
handle = handles[index]

def told(total, used, processes):
    return {"total_mib": total >> 20, "used_mib": used >> 20, "processes": sorted(map(list, processes))}

old, new = memory(handle), memory(handle, version=pynvml.nvmlMemory_v2)
running = [(p.pid, p.usedGpuMemory >> 20) for p in pynvml.nvmlDeviceGetComputeRunningProcesses(handle)]
card, seen = nvitop.Device(index), gpustat.GPUStatCollection.new_query().gpus[index]
print(json.dumps({
    "nvml": told(old.total, old.used, running),
    "nvml v2": told(new.total, new.used, running),
    "nvitop": told(card.memory_total(), card.memory_used(),
                   [(pid, process.gpu_memory() >> 20) for pid, process in card.processes().items()]),
    "gpustat": told(seen.memory_total << 20, seen.memory_used << 20,
                    [(p["pid"], p["gpu_memory_usage"]) for p in seen.processes]),
}))
"""

# Holds memory in two processes, then lets the tools look.
HOLD_TWICE = """
import json, os, subprocess, sys
from cuda.bindings import driver as cu

def ok(result):
    assert int(result[0]) == 0, result
    return result[1] if len(result) == 2 else result[1:]

child = os.environ.get("CHILD")
ok(cu.cuInit(0))
ok(cu.cuCtxSetCurrent(ok(cu.cuDevicePrimaryCtxRetain(0))))
pointer = ok(cu.cuMemAlloc((500 if child else 3000) << 20))
if child:
    print("held", flush=True)
    sys.stdin.readline()
else:
    other = subprocess.Popen([sys.executable, "-c", sys.argv[1]], env={**os.environ, "CHILD": "1"}, stdin=-1, stdout=-1)
    other.stdout.readline()
    shown = subprocess.run([sys.executable, "-c", *sys.argv[2:]], capture_output=True, text=True)
    free, total = ok(cu.cuMemGetInfo())
    other.communicate(b"\\n")
    assert shown.returncode == 0, shown.stderr
    print(json.dumps({"cuda": {"total_mib": total >> 20, "used_mib": total - free >> 20},
                      "pids": sorted([os.getpid(), other.pid]), **json.loads(shown.stdout)}))
"""

NUMBA = """
import json
import numpy
from numba import cuda

info = cuda.current_context().get_memory_info()
array = cuda.to_device(numpy.arange(1000))
same = bool((array.copy_to_host() == numpy.arange(1000)).all())

def used_mib():
    info = cuda.current_context().get_memory_info()
    return info.total - info.free >> 20

def taken(make, mib):
    before = used_mib()
    array = make(mib << 20, dtype=numpy.uint8)
    return used_mib() - before

def refusal(make):
    try:
        make(9000 << 20, dtype=numpy.uint8)
        return "none"
    except cuda.cudadrv.driver.CudaAPIError as err:
        return str(err)

makers = {"device": cuda.device_array, "managed": cuda.managed_array,
          "pinned": cuda.pinned_array, "mapped": cuda.mapped_array}
print(json.dumps({
    "total_mib": info.total >> 20, "same": same,
    "taken": {kind: taken(make, 64) for kind, make in makers.items()},
    "refused": {kind: refusal(makers[kind]) for kind in ("device", "managed")},
}))
"""

# Shows a terminal program for as long as it takes to draw itself, and prints its screen without the control codes.
SHOW = f"""
import fcntl, os, pty, select, struct, sys, termios, time

pid, terminal = pty.fork()
if pid == 0:
    os.environ["TERM"] = "xterm"
    os.execvp(sys.argv[1], sys.argv[1:])
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", {ROWS}, {COLUMNS}, 0, 0))
drawn, end = b"", time.monotonic() + {PATIENCE_S}
while drawn.count(b"Gi]") < 2 and time.monotonic() < end:
    if select.select([terminal], [], [], 1)[0]:
        drawn += os.read(terminal, 65536)
os.kill(pid, 9)
os.waitpid(pid, 0)
sys.stdout.buffer.write(drawn)
"""


@pytest.fixture
def share(tmp_path: Path) -> Callable[..., str]:
    """Runs this interpreter with arguments inside a share of one card; gives what it printed."""

    def run(*words: str) -> str:
        lease = ["run", "--simulate", "a40x2", "--memory", str(SHARE_MIB), "--", sys.executable, *words]
        done = subprocess.run(
            [str(SCRIPTS / "hami"), *lease],
            env={**os.environ, "XDG_STATE_HOME": str(tmp_path), "HAMI_STATE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def in_share(share: Callable[..., str]) -> Any:
    """Runs Python code inside a share of one card; gives what its last line says."""

    def run(code: str, *arguments: str) -> Any:
        return msgspec.json.decode(share("-c", textwrap.dedent(code), *arguments).splitlines()[-1])

    return run


def test_every_tool_shows_the_same_total_use_and_processes(in_share: Any) -> None:
    seen = in_share(HOLD_TWICE, HOLD_TWICE, TOOLS, str(SHARE_MIB))
    cuda, pids = seen.pop("cuda"), seen.pop("pids")
    assert cuda["total_mib"] == SHARE_MIB
    first = seen["nvml"]
    assert dict.fromkeys(seen, first) == seen
    assert {"total_mib": first["total_mib"], "used_mib": first["used_mib"]} == cuda
    assert [pid for pid, _ in first["processes"]] == pids
    assert sum(used_mib for _, used_mib in first["processes"]) == cuda["used_mib"]


@pytest.mark.parametrize("program", ["cuda_python", "numba_arrays"])
def test_a_program_runs_to_its_end_inside_a_share(share: Callable[..., str], program: str) -> None:
    assert share(str(PROGRAMS / f"{program}.py")).splitlines()[-1] == "done"


def test_gpustat_agrees_with_cuda(in_share: Any) -> None:
    seen = in_share(HOLD, str(SCRIPTS / "gpustat"), "--json")
    (card,) = [card for card in json.loads(seen["shown"])["gpus"] if card["memory.total"] == SHARE_MIB]
    assert seen["total_mib"] == SHARE_MIB
    assert card["memory.used"] == seen["used_mib"]
    assert [process["gpu_memory_usage"] for process in card["processes"]] == [seen["used_mib"]]


def test_nvitop_agrees_with_cuda(in_share: Any) -> None:
    seen = in_share(HOLD, str(SCRIPTS / "nvitop"), "--once", "--ascii")
    assert f"{seen['used_mib']}MiB / {SHARE_MIB}MiB" in seen["shown"]


def test_nvtop_agrees_with_cuda(in_share: Any) -> None:
    assert shutil.which("nvtop"), "nvtop is missing; run: apt-get install nvtop (Debian: component contrib)"
    seen = in_share(HOLD, sys.executable, "-c", SHOW, "nvtop")
    screen = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][AB0]", " ", seen["shown"])
    assert f"{seen['used_mib'] / 1024:.3f}Gi/{SHARE_MIB / 1024:.3f}Gi"[:14] in screen.replace(" ", "")


def test_numba_allocates_within_the_share_and_is_refused_past_it(in_share: Any) -> None:
    seen = in_share(NUMBA)
    assert seen["total_mib"] == SHARE_MIB
    assert seen["same"]
    for refused in seen["refused"].values():
        assert "CUDA_ERROR_OUT_OF_MEMORY" in refused


def test_numbas_arrays_on_the_card_count_and_those_of_the_host_do_not(in_share: Any) -> None:
    assert in_share(NUMBA)["taken"] == {"device": 64, "managed": 64, "pinned": 0, "mapped": 0}
