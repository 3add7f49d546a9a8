"""A plugin run in a child process whose hardware is watched, or missing, or bad.

What counts as hardware: shared libraries opened by name, files under ``/sys``, ``/dev`` and ``/proc/driver``, other
programs, sockets. Python's audit hooks see all of these before they happen, whichever binding a plugin uses.
"""

from __future__ import annotations

import ctypes
import enum
import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hami_core.behaviour import Probe, ProbeReport
from hami_core.probing import run_probe

_PLACES = ("/sys/", "/dev/", "/proc/driver/")
_HARMLESS = frozenset({"/dev/null", "/dev/urandom", "/dev/tty"})
_PROGRAMS = frozenset({"subprocess.Popen", "os.posix_spawn", "os.system"})
_FILES = frozenset({"open", "os.listdir", "os.scandir"})
_DEADLINE_S = 30.0
_GONE = 70  # EX_SOFTWARE of sysexits.h
_HANG_S = 3.0  # from the touch on, so that a slow start of the child is not taken for a hanging driver
_TARGET, _FAULT = "HAMI_TEST_PROBE", "HAMI_TEST_PROBE_FAULT"


class Fault(enum.StrEnum):
    """What happens at the first touch of hardware."""

    MISSING = "missing"  # there is no such library, file or program
    HANGS = "hangs"  # it does not return; the child is ended some seconds later
    CRASHES = "crashes"


def touched_by_declaring(module: str) -> tuple[str, ...]:
    """What importing a plugin and asking for its families touches of the host; empty for a pure one."""
    ended = _run(["declare", module])
    if ended is None or ended.returncode:
        return (f"a failure: {ended.stderr.strip() if ended else 'it hangs'}",)
    touched: list[str] = json.loads(ended.stdout)
    return tuple(touched)


def loaded_by_import(module: str) -> tuple[str, ...]:
    """The top-level packages that are loaded once `module` is."""
    ended = _run(["import", module])
    loaded: list[str] = json.loads(ended.stdout) if ended is not None and not ended.returncode else []
    return tuple(loaded)


def loading_fails(library: Path) -> str:
    """Why a shared library cannot be loaded; empty for one that can."""
    ended = _run(["load", str(library)])
    if ended is None:
        return "loading it hangs"
    if ended.returncode < 0:
        return f"loading it ends the process with signal {-ended.returncode}"
    lines = ended.stderr.strip().splitlines()
    return (lines[-1] if lines else f"exit code {ended.returncode}") if ended.returncode else ""


def probe_with(probe: Probe, vendor: str, fault: Fault, *, timeout_s: float) -> ProbeReport:
    """Run a probe as the hosts run it, with a fault at its first touch of hardware.

    Raises:
        ProbeFailed: as `hami_core.probing.run_probe`.
    """
    target = f"{probe.__module__}:{getattr(probe, '__qualname__', '')}"
    environ = {**os.environ, "PYTHONPATH": _paths(), _TARGET: target, _FAULT: fault.value}
    return run_probe(faulty_probe, vendor=vendor, environ=environ, timeout_s=timeout_s)


def probe_in(probe: Probe, vendor: str, environ: Mapping[str, str], *, timeout_s: float) -> ProbeReport:
    """Run a probe in an environment in which it sees a simulated machine.

    Raises:
        ProbeFailed: as `hami_core.probing.run_probe`.
    """
    return run_probe(
        probe, vendor=vendor, environ={**os.environ, "PYTHONPATH": _paths(), **environ}, timeout_s=timeout_s
    )


def faulty_probe() -> ProbeReport:
    """The probe that the environment names, on hardware that is as the environment says."""
    module, _, name = os.environ[_TARGET].partition(":")
    probe: Any = importlib.import_module(module)
    for part in name.split("."):
        probe = getattr(probe, part)
    _watch(_ACTS[Fault(os.environ[_FAULT])])
    report: ProbeReport = probe()
    return report


def _paths() -> str:
    return os.pathsep.join(entry for entry in sys.path if entry)


def _run(arguments: list[str]) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(  # noqa: S603 - this interpreter and this module
            [sys.executable, "-m", __name__, *arguments],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=_DEADLINE_S,
            env={**os.environ, "PYTHONPATH": _paths()},
        )
    except subprocess.TimeoutExpired:
        return None


def _watch(act: Callable[[str], None]) -> None:
    """Call `act` with a name for each touch of hardware, from now on until the process ends."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        name = _touch(event, arguments)
        if name:
            act(name)

    sys.addaudithook(hook)


def _touch(event: str, arguments: tuple[Any, ...]) -> str:
    if event == "ctypes.dlopen":
        name = str(arguments[0] or "")
        return "" if not name or Path(name).name.startswith("libc.") else f"the library {name}"
    if event in _PROGRAMS:
        return f"the program {arguments[0]!r}"
    if event == "socket.connect":
        return "the network"
    if event in _FILES and isinstance(arguments[0], str | os.PathLike):
        path = str(arguments[0])
        return f"the file {path}" if path.startswith(_PLACES) and path not in _HARMLESS else ""
    return ""


def _declare(module: str) -> None:
    from hami_core.registry import load_registry  # noqa: PLC0415 - before the watch: what it loads is not the plugin's

    load_registry(plugins=[])
    touched: list[str] = []
    _watch(touched.append)
    load_registry(plugins=[importlib.import_module(module)])
    print(json.dumps(touched))


def _import(module: str) -> None:
    importlib.import_module(module)
    print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))


def _no_such(name: str) -> None:
    raise FileNotFoundError(2, f"cannot open {name}: no such file or directory")


def _never_return(_name: str) -> None:
    time.sleep(_HANG_S)
    os._exit(_GONE)


def _load(library: str) -> None:
    ctypes.CDLL(library)


_ACTS: Mapping[Fault, Callable[[str], None]] = {
    Fault.MISSING: _no_such,
    Fault.HANGS: _never_return,
    Fault.CRASHES: lambda _name: os.abort(),
}

if __name__ == "__main__":
    verbs = {"declare": _declare, "import": _import, "load": _load}
    verbs[sys.argv[1]](sys.argv[2])
