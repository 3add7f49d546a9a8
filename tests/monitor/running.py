"""Containers on a simulated machine: real processes that hold memory of a card, with or without the library."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
from tests.nvidia_fake.hosts import Host

import hami_nvidia
from hami_core.isolation.limits import DeviceLimits, LimitsFile
from hami_core.local.machine import Machine
from hami_core.local.sight import Sight, cards_of
from hami_core.machine_file import read_machine
from hami_core.monitor.devices import DeviceWatch
from hami_core.packaged import packaged
from hami_core.probing import run_probe
from hami_core.registry import load_registry
from hami_core.score import builtin
from hami_nvidia.probe import probe

HOLD = (sys.executable, str(Path(__file__).parents[2] / "examples" / "nvidia" / "hold_memory.py"))


@attrs.frozen(kw_only=True)
class Container:
    """A container's folder as the node agent makes it; it may be started more than once."""

    host: Host
    folder: Path

    def start(self, mib: int, *, within: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        """A process that holds memory through the library; `within` is a command that runs it."""
        library = packaged("hami_nvidia", "lib/libhami_nvidia.so")
        more = {"LD_PRELOAD": str(library), "HAMI_LIMITS_FILE": str(self.folder / "limits")}
        return start(self.host, mib, within=within, **more)


def start(host: Host, mib: int, *, within: tuple[str, ...] = (), **more: str) -> subprocess.Popen[str]:
    """A process that holds memory of the first card, past the library unless `more` names it."""
    pipe = subprocess.PIPE
    words = [*within, *HOLD, str(mib)]
    return subprocess.Popen(
        words, env=host.environ(**more), stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True
    )


@contextmanager
def holding(program: subprocess.Popen[str], mib: int) -> Iterator[subprocess.Popen[str]]:
    """A process that has its memory; killed afterwards, if it still runs."""
    try:
        assert said(program) == f"holds {mib} MiB"
        yield program
    finally:
        program.kill()
        program.communicate()


def said(program: subprocess.Popen[str]) -> str:
    """The next line that it prints."""
    assert program.stdout is not None
    return program.stdout.readline().strip()


def container_on(host: Host, root: Path, uid: str, memory_mib: int) -> Container:
    """A container that may use so much of the first card."""
    folder = root / "containers" / f"{uid}_main" / "NVIDIA"
    folder.mkdir(parents=True)
    card = read_machine(host.machine).report().devices[0].uuid
    limits = LimitsFile(devices=(DeviceLimits(uuid=card, memory_mib=memory_mib),), region=folder / "region")
    limits.write(folder / "limits")
    return Container(host=host, folder=folder)


def devices_of(host: Host) -> DeviceWatch:
    """The cards as the driver sees them."""
    registry = load_registry(plugins=[hami_nvidia, builtin])

    def look() -> Sight:
        report = run_probe(probe, vendor="nvidia", environ=host.environ())
        return Sight(machine=Machine(name="n", folder=Path("/nonexistent")), cards=tuple(cards_of(report, registry)))

    return DeviceWatch([look])


HostMaker = Callable[[str], Host]
