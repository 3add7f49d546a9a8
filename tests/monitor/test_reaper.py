"""What an ended container held is given back at once; what lives, or may live, is never touched."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import attrs
import pytest
from tests.monitor.running import HostMaker, container_on, said
from tests.monitor.world import MIB, Charged, container, write_region

from hami_core.isolation.processes import HostProcess, ProcessTable, running_processes
from hami_core.isolation.region import read_region
from hami_core.monitor.containers import ContainerFolders
from hami_core.monitor.devices import DeviceWatch
from hami_core.monitor.monitor import Monitor
from hami_core.monitor.reaper import LIBRARY_WAITS_NS, Reaper

HOST = 0xEFFFFFFC  # the namespace from which all others are seen
GONE, THERE = 4026539998, 4026539999
NOW_NS = 1_000_000_000_000
ROOT = Path(__file__).resolve().parents[2]


def table(**changes: object) -> ProcessTable:
    """This host as a monitor in its namespace sees it: one process in the namespace THERE."""
    running = {(THERE, 1): HostProcess(pid=4321, start_ticks=5)}
    return ProcessTable(**{"namespace": HOST, "running": running, **changes})  # type: ignore[arg-type]


def left(region: Path) -> list[int]:
    view = read_region(region)
    assert view is not None
    return [process.pid for process in view.processes]


def reaped(root: Path, found: ProcessTable, *, now_ns: int = NOW_NS) -> Reaper:
    reaper = Reaper(lambda: found)
    reaper.apply(ContainerFolders(root, node="n").look(), now_ns=now_ns)
    return reaper


def charged(pid: int, namespace: int, *, active_ns: int = NOW_NS) -> Charged:
    return Charged(pid=pid, start_ticks=1, namespace=namespace, active_ns=active_ns, classes={"buffer": 5 * MIB})


def test_slots_of_an_ended_namespace_are_freed_and_all_others_stay(tmp_path: Path) -> None:
    region = container(tmp_path) / "region"
    write_region(region, charged(1, GONE), charged(2, THERE), charged(3, HOST), charged(4, 0), charged(5, GONE))
    before = region.read_bytes()
    assert reaped(tmp_path, table()).freed == 2
    assert left(region) == [2, 3, 4]
    after = region.read_bytes()
    assert sum(one != other for one, other in zip(before, after, strict=True)) == 2, "one byte a slot"


@pytest.mark.parametrize(
    "found",
    [table(complete=False), table(namespace=THERE + 1)],
    ids=["some processes may not be seen", "not in the host's namespace"],
)
def test_nothing_is_freed_by_a_monitor_that_does_not_see_every_process(tmp_path: Path, found: ProcessTable) -> None:
    region = container(tmp_path) / "region"
    write_region(region, charged(1, GONE))
    assert reaped(tmp_path, found).freed == 0
    assert left(region) == [1]


@pytest.mark.parametrize("active_ns", [NOW_NS - LIBRARY_WAITS_NS, NOW_NS + 1, (1 << 64) - 1])
def test_a_slot_that_the_library_may_free_itself_or_that_is_damaged_is_left_to_it(
    tmp_path: Path, active_ns: int
) -> None:
    region = container(tmp_path) / "region"
    write_region(region, charged(1, GONE, active_ns=active_ns))
    assert reaped(tmp_path, table()).freed == 0
    assert left(region) == [1]


def test_the_library_waits_as_long_as_is_assumed_here() -> None:
    source = (ROOT / "native" / "core" / "reap.c").read_text(encoding="utf-8")
    assert f"#define SILENCE_NS {LIBRARY_WAITS_NS}ULL" in source


def test_a_slot_that_found_another_owner_meanwhile_is_not_freed(tmp_path: Path) -> None:
    region = container(tmp_path) / "region"
    write_region(region, charged(1, GONE))
    workloads = ContainerFolders(tmp_path, node="n").look()
    write_region(region, charged(7, GONE))
    reaper = Reaper(table)
    reaper.apply(workloads, now_ns=NOW_NS)
    assert (reaper.freed, left(region)) == (0, [7])


@pytest.mark.parametrize("what", ["nothing", "link", "pipe", "short"])
def test_a_file_that_took_the_regions_place_is_left_alone(tmp_path: Path, what: str) -> None:
    region = container(tmp_path) / "region"
    write_region(region, charged(1, GONE))
    workloads = ContainerFolders(tmp_path, node="n").look()
    content = region.read_bytes()
    region.unlink()
    target = tmp_path / "target"
    target.write_bytes(content)
    if what == "link":
        region.symlink_to(target)
    elif what == "pipe":
        os.mkfifo(region)
    elif what == "short":
        region.write_bytes(content[:100])
    reaper = Reaper(table)
    reaper.apply(workloads, now_ns=NOW_NS)
    assert (reaper.freed, reaper.failed) == (0, what == "link")
    assert target.read_bytes() == content


def test_processes_are_looked_for_every_two_seconds_and_only_where_somebody_may_have_ended(tmp_path: Path) -> None:
    looks = []
    reaper = Reaper(lambda: looks.append(1) or table())  # type: ignore[func-returns-value]
    source = ContainerFolders(tmp_path, node="n")
    reaper.apply(source.look(), now_ns=NOW_NS)
    assert looks == []
    write_region(container(tmp_path) / "region", charged(2, THERE, active_ns=NOW_NS))
    for passed_s, looked in ((1, 0), (3, 1), (4, 1), (6, 2)):
        reaper.apply(source.look(), now_ns=NOW_NS + passed_s * 10**9)
        assert len(looks) == looked


def first_process(program: subprocess.Popen[str]) -> int:
    """The host's pid of a container's first process."""
    (first,) = Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text(encoding="ascii").split()
    return int(first)


def kill(program: subprocess.Popen[str]) -> None:
    """End a container as the kernel does when its first process is killed: all at once, without a word."""
    os.kill(first_process(program), signal.SIGKILL)
    program.communicate()


def monitor_of(root: Path) -> Monitor:
    """One as it is with root's rights in the host's namespace, whoever runs the test."""
    reaper = Reaper(lambda: attrs.evolve(running_processes(), namespace=HOST, complete=True))
    return Monitor([ContainerFolders(root, node="n")], DeviceWatch([]), reaper=reaper)


def test_a_container_that_was_killed_and_starts_again_has_its_whole_share_at_once(
    host: HostMaker, tmp_path: Path
) -> None:
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    within = ("unshare", *user, "--pid", "--fork", "--kill-child", "--mount-proc")
    node = tmp_path / "node"
    main = container_on(host("t4"), node, "uid-1", 2000)
    region = main.folder / "region"
    first = main.start(1500, within=within)
    assert said(first) == "holds 1500 MiB"
    monitor_of(node).tick()
    assert len(left(region)) == 1, "it lives, and so does its slot"
    # Held open, so that the next namespace gets another number, as it does where more goes on.
    namespace = os.open(f"/proc/{first_process(first)}/ns/pid", os.O_RDONLY)
    kill(first)
    assert len(left(region)) == 1, "nobody had the time to free it"
    refused = main.start(1500, within=within)
    assert said(refused).startswith("refused:"), "the library cannot know that the first container is gone"
    refused.communicate()
    monitor_of(node).tick()
    again = main.start(1500, within=within)
    assert said(again) == "holds 1500 MiB"
    kill(again)
    os.close(namespace)
