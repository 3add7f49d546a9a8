"""Runs programs on the simulated machines: a child process each, with the driver doubles in the drivers' place."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest

from hami_core.packaged import NotInstalled, packaged

ROOT = Path(__file__).resolve().parents[2]
BUILD = "cmake -S native -B build/native -G Ninja -DHAMI_TESTS=ON && cmake --build build/native"


@pytest.fixture(scope="session")
def doubles() -> Path:
    """The folder of libcuda.so.1 and libnvidia-ml.so.1: HAMI_NATIVE_DIR's, the installed package's, or the build's."""
    environ = {"HAMI_NATIVE_DIR": str(ROOT / "build" / "native"), **os.environ}
    try:
        folder = packaged("hami_nvidia", "lib/fake", environ)
    except NotInstalled:
        pytest.fail(f"the fake driver is not built; in {ROOT} run: {BUILD}", pytrace=False)
    missing = [name for name in ("libcuda.so.1", "libnvidia-ml.so.1") if not (folder / name).is_file()]
    assert not missing, f"{folder} lacks {missing}; in {ROOT} run: {BUILD}"
    return folder


def machine_file(name: str) -> Path:
    """A shipped machine's file."""
    return packaged("hami_nvidia", f"machines/{name}.json")


@attrs.frozen
class Host:
    """A simulated machine that several programs can share."""

    doubles: Path
    machine: Path
    state: Path

    def environ(self, **more: str) -> dict[str, str]:
        """What a program needs to run here."""
        return {
            **os.environ,
            "LD_LIBRARY_PATH": str(self.doubles),
            "HAMI_FAKE_MACHINE": str(self.machine),
            "HAMI_FAKE_STATE": str(self.state),
            **more,
        }

    def command(self, *words: str, **more: str) -> str:
        """Run a command and return what it printed; a failure shows what it said."""
        done = subprocess.run(words, env=self.environ(**more), capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, f"{words} exited with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def python(self, code: str, **more: str) -> Any:
        """Run a Python program that leaves its result in `answer`; return that."""
        tail = "\nimport json as _json\nprint(_json.dumps(answer))"
        printed = self.command(sys.executable, "-c", _PRELUDE + textwrap.dedent(code) + tail, **more)
        return msgspec.json.decode(printed.splitlines()[-1])

    def start(self, code: str, **more: str) -> subprocess.Popen[str]:
        """Start a Python program that talks through its standard input and output."""
        return subprocess.Popen(
            [sys.executable, "-c", _PRELUDE + textwrap.dedent(code)],
            env=self.environ(**more),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )


# What most programs start with. `ok` gives a call's values, or fails; `code` gives its result's number.
_PRELUDE = """\
import ctypes, os, sys
import pynvml as nvml
from cuda.bindings import driver as cu

def ok(result):
    assert result[0] == cu.CUresult.CUDA_SUCCESS, result
    return result[1] if len(result) == 2 else result[1:]

def code(result):
    return int(result[0])

def begin(device=0):
    ok(cu.cuInit(0))
    ok(cu.cuCtxSetCurrent(ok(cu.cuDevicePrimaryCtxRetain(ok(cu.cuDeviceGet(device))))))

PTX = b'''
.version 7.0
.target sm_70
.address_size 64
.visible .entry hami_spin_ns(.param .u64 ns) { ret; }
// hami-fake: ns=7000000
.visible .entry seven_ms(.param .u64 a, .param .u32 b) { ret; }
.visible .entry plain() { ret; }
'''

def kernel(name):
    return ok(cu.cuModuleGetFunction(ok(cu.cuModuleLoadData(PTX + b'\\0')), name))

def launch(function, stream=0, grid=1, block=1, ns=None):
    arguments = ((ns,), (ctypes.c_uint64,)) if ns is not None else 0
    return cu.cuLaunchKernel(function, grid, 1, 1, block, 1, 1, 0, stream, arguments, 0)
"""


@pytest.fixture
def host(doubles: Path, tmp_path: Path) -> Callable[[str], Host]:
    """Makes a fresh simulated machine by the name of a shipped one, or from a file."""

    def make(machine: str | Path) -> Host:
        file = machine if isinstance(machine, Path) else machine_file(machine)
        return Host(doubles=doubles, machine=file, state=tmp_path / "driver-state")

    return make
