"""Draws the pictures of `hami top`: ``python -m docs.generate.images``.

By hand, not with the other pages: no two looks at a machine are the same. One picture is of real programs on a
simulated machine, the other of a cluster whose objects are made up here.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, RenderableType

from hami_core.cli import top_cluster, top_host
from hami_core.local.machine import simulated
from hami_core.local.sight import look_at
from hami_core.machine_file import read_machine
from hami_core.model import Device, DeviceUse
from hami_core.monitor.cluster import ClusterCard, ClusterNode, ClusterShare, ClusterView
from hami_core.monitor.devices import DeviceWatch
from hami_core.monitor.feedback import Feedback
from hami_core.monitor.leases import LocalLeases
from hami_core.monitor.monitor import Monitor
from hami_core.monitor.remote import CardNumbers
from hami_core.registry import load_registry
from hami_core.units import MIB

HERE = Path(__file__).parents[1] / "images"
EXAMPLES = Path(__file__).parents[2] / "examples" / "nvidia"
MACHINE = "a40x2"
_WIDTH = 118
_LOOKS = 8  # at half a second: until the limits files say who yields
# The font is the reader's own: a picture that is looked at asks nobody else for anything.
_FONT_FACE = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)


def main() -> None:
    """Draw both."""
    with tempfile.TemporaryDirectory() as state:
        os.environ["HAMI_STATE_DIR"] = state
        with _programs():
            _draw("top", "hami top", _host())
    view = _cluster()
    _draw("top-cluster", "hami top --cluster", top_cluster.tables(view, _console()))


@contextmanager
def _programs() -> Iterator[None]:
    """Three leases: one of high priority at work, one that yields to it, one that only holds memory."""
    hami = [str(Path(sys.executable).with_name("hami")), "run", "--simulate", MACHINE]
    first, second = (card.uuid for card in read_machine(load_registry().machine_files[MACHINE]).report().devices)
    spin = [sys.executable, str(EXAMPLES / "spin.py"), "5"]
    hold = [sys.executable, str(EXAMPLES / "hold_memory.py"), "9000"]
    commands = (
        [*hami, "--memory", "8000", "--cores", "30", "--priority", "0", "--uuid", first, "--", *spin],
        [*hami, "--memory", "6000", "--cores", "30", "--priority", "1", "--uuid", first, "--", *spin],
        [*hami, "--memory", "16000", "--uuid", second, "--", *hold],
    )
    pipe = subprocess.PIPE
    running = []
    try:
        for command in commands:
            started = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)  # noqa: S603 - our own programs
            running.append(started)
            assert started.stdout is not None
            assert started.stdout.readline()
        yield
    finally:
        for started in running:
            started.communicate()


def _host() -> Sequence[RenderableType]:
    registry = load_registry()
    machine = simulated(MACHINE, registry)
    devices = DeviceWatch([lambda: look_at(machine, registry)])
    watch = Monitor([LocalLeases(lambda: (machine,))], devices, feedback=Feedback())
    for _ in range(_LOOKS):
        watch.tick()
        time.sleep(0.5)
    devices.look()
    watch.tick()
    return top_host.tables(watch.picture(), _console())


def _cluster() -> ClusterView:
    def card(node: str, index: int, promised_mib: int, slots: int, numbers: CardNumbers) -> ClusterCard:
        device = Device(
            uuid=f"GPU-{node[-1]}{index}000000-5d31-4a62-9c1f-000000000000", family="NVIDIA", model="NVIDIA A40",
            index=index, memory_mib=46068, slots=10,
        )  # fmt: skip
        use = DeviceUse(device=device, slots_used=slots, memory_used_mib=promised_mib, core_units_used=10 * slots)
        return ClusterCard(node=node, use=use, numbers=numbers)

    def share(pod: str, at: ClusterCard, limit_mib: int, used_mib: int | None, busy: float | None) -> ClusterShare:
        return ClusterShare(
            node=at.node, namespace="team-a", pod=pod, container="main", family="NVIDIA", uuid=at.use.device.uuid,
            memory_mib=limit_mib, core_units=30, core_ratio=0.3, busy_ratio=busy,
            memory_used_bytes=None if used_mib is None else used_mib * MIB, isolated=None if used_mib is None else True,
        )  # fmt: skip

    one = card("gpu-1", 0, 30000, 3, CardNumbers(memory_used_bytes=21480 * MIB, busy_ratio=0.83))
    two = card("gpu-1", 1, 12000, 1, CardNumbers(memory_used_bytes=9210 * MIB, busy_ratio=0.27))
    silent = card("gpu-2", 0, 8000, 1, CardNumbers())
    shares = (
        share("infer-0", one, 8000, 7412, 0.28),
        share("infer-1", one, 8000, 6920, 0.3),
        share("train-0", one, 14000, 7044, 0.25),
        share("train-1", two, 12000, 9106, 0.27),
        share("infer-2", silent, 8000, None, None),
    )
    nodes = (
        ClusterNode(name="gpu-1", cards=(one, two), shares=4),
        ClusterNode(name="gpu-2", cards=(silent,), shares=1, silent="no monitor runs there"),
    )
    return ClusterView(nodes=nodes, shares=shares)


def _console() -> Console:
    return Console(
        width=_WIDTH, record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor", highlight=False
    )


def _draw(name: str, title: str, shown: Sequence[RenderableType]) -> None:
    console = _console()
    for each in shown:
        console.print(each)
    drawn = console.export_svg(title=title, unique_id=name)
    (HERE / f"{name}.svg").write_text(_FONT_FACE.sub("", drawn), encoding="utf-8")


if __name__ == "__main__":
    main()
