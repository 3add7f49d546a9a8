"""Programs that know nothing of HAMi, inside a share of a simulated card: all show and get the same share.

Run by ``make test-clients``, which installs numba; nvtop comes from the system.
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
from pathlib import Path
from typing import Any

import msgspec
import pytest

SCRIPTS = Path(sysconfig.get_path("scripts"))
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

NUMBA = """
import json
import numpy
from numba import cuda

info = cuda.current_context().get_memory_info()
array = cuda.to_device(numpy.arange(1000))
pinned, managed = cuda.pinned_array(10), cuda.managed_array(10)
same = bool((array.copy_to_host() == numpy.arange(1000)).all())
try:
    cuda.device_array(9000 << 20, dtype=numpy.uint8)
    refused = "no"
except cuda.cudadrv.driver.CudaAPIError as err:
    refused = str(err)
print(json.dumps({"total_mib": info.total >> 20, "same": same, "refused": refused}))
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
def in_share(tmp_path: Path) -> Any:
    """Runs Python code inside a share of one card; gives what its last line says."""

    def run(code: str, *arguments: str) -> Any:
        program = [sys.executable, "-c", textwrap.dedent(code), *arguments]
        lease = ["run", "--simulate", "a40x2", "--memory", str(SHARE_MIB), "--", *program]
        done = subprocess.run(
            [str(SCRIPTS / "hami"), *lease],
            env={**os.environ, "XDG_STATE_HOME": str(tmp_path), "HAMI_STATE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return msgspec.json.decode(done.stdout.splitlines()[-1])

    return run


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
    assert "CUDA_ERROR_OUT_OF_MEMORY" in seen["refused"]
