"""The isolation library's lines at debug level, in the form that HAMI's users and their log filters know."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.nvidia_fake.hosts import Host

from hami_core.packaged import packaged

HostMaker = Callable[[str | Path], Host]
MIB = 1 << 20
# The card's own 15360 MiB less 430 that the driver keeps, 104 for the context, and 100 that the program holds.
CARD_MIB, CONTEXT_MIB, HELD_MIB, LIMIT_MIB = 15360 - 430, 104, 100, 1000

PROGRAM = f"""
from cuda.bindings import driver as cu
assert int(cu.cuInit(0)[0]) == 0
assert int(cu.cuCtxSetCurrent(cu.cuDevicePrimaryCtxRetain(0)[1])[0]) == 0
assert int(cu.cuMemAlloc({HELD_MIB} << 20)[0]) == 0
assert int(cu.cuMemGetInfo()[0]) == 0
assert int(cu.cuMemAlloc(2000 << 20)[0]) == 2
"""


@pytest.fixture
def said(host: HostMaker, tmp_path: Path) -> Callable[[str], str]:
    """What a program in a share says on standard error at a level of LIBCUDA_LOG_LEVEL."""

    def run(level: str) -> str:
        machine = host("t4")
        uuid = json.loads(machine.machine.read_text())["devices"][0]["uuid"]
        limits = tmp_path / "limits"
        limits.write_text(
            f"hami-limits 1\nregion {tmp_path}/region\ndevice {uuid} memory_mib={LIMIT_MIB} core_percent=0\n"
        )
        environ = machine.environ(
            LD_PRELOAD=str(packaged("hami_nvidia", "lib/libhami_nvidia.so")),
            HAMI_LIMITS_FILE=str(limits),
            LIBCUDA_LOG_LEVEL=level,
        )
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environ, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    return run


def test_a_memory_query_is_shown_as_hami_core_shows_it(said: Callable[[str], str]) -> None:
    (line,) = [line for line in said("4").splitlines() if "orig free=" in line]
    form = r"\[HAMI-core Msg\((\d+):(\d+):(\w+\.c):(\d+)\)\]: orig free=(\d+) total=(\d+) limit=(\d+) usage=(\d+)"
    match = re.fullmatch(form, line)
    assert match, line
    free, total, limit, usage = (int(number) // MIB for number in match.groups()[4:])
    assert (total, limit, usage) == (CARD_MIB, LIMIT_MIB, CONTEXT_MIB + HELD_MIB)
    assert free == CARD_MIB - CONTEXT_MIB - HELD_MIB


def test_nothing_is_said_by_default(said: Callable[[str], str]) -> None:
    assert said("0") == ""
    assert said("") == ""
