"""Limits files say who else is at work; nothing else in them changes, and nothing is written without need."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from tests.monitor.world import GPU, container, write_region

from hami_core.isolation.limits import DeviceLimits, parse_limits
from hami_core.monitor.activity import RECENT_NS, Activity
from hami_core.monitor.containers import ContainerFolders
from hami_core.monitor.decision import Words
from hami_core.monitor.feedback import Feedback, reworded

NOW_NS = 1_000_000_000_000


def tick(root: Path, feedback: Feedback, activity: Activity, *, now_ns: int = NOW_NS) -> None:
    workloads = ContainerFolders(root, node="n").look()
    feedback.apply(workloads, activity.update(workloads, now_ns=now_ns))


def words(folder: Path) -> DeviceLimits:
    (device,) = parse_limits((folder / "limits").read_text()).devices
    return device


def test_low_priority_waits_while_high_priority_launches_and_is_free_afterwards(tmp_path: Path) -> None:
    high, low = container(tmp_path, "uid-1_high", priority=0), container(tmp_path, "uid-2_low", priority=1)
    write_region(high / "region", launched_ns=NOW_NS)
    write_region(low / "region", launched_ns=NOW_NS)
    feedback, activity = Feedback(), Activity()
    tick(tmp_path, feedback, activity)
    assert (words(high).contended, words(high).yields) == (False, False)
    assert (words(low).contended, words(low).yields) == (True, True)
    tick(tmp_path, feedback, activity, now_ns=NOW_NS + RECENT_NS + 1)
    assert (words(low).contended, words(low).yields) == (False, False)


def test_a_task_counts_as_at_work_while_its_device_time_grows_between_launches(tmp_path: Path) -> None:
    high, low = container(tmp_path, "uid-1_high", priority=0), container(tmp_path, "uid-2_low", priority=1)
    write_region(high / "region", launched_ns=1, busy_ns=5)
    feedback, activity = Feedback(), Activity()
    tick(tmp_path, feedback, activity)
    assert not words(low).yields
    write_region(high / "region", launched_ns=1, busy_ns=6)
    tick(tmp_path, feedback, activity, now_ns=NOW_NS + 1000)
    assert words(low).yields


def test_a_launch_in_the_future_is_damage_and_nobodys_work(tmp_path: Path) -> None:
    high, low = container(tmp_path, "uid-1_high", priority=0), container(tmp_path, "uid-2_low", priority=1)
    write_region(high / "region", launched_ns=(1 << 64) - 1)
    tick(tmp_path, Feedback(), Activity())
    assert not words(low).yields


def test_a_file_that_says_what_holds_is_not_written_again(tmp_path: Path) -> None:
    folder = container(tmp_path)
    feedback, activity = Feedback(), Activity()
    tick(tmp_path, feedback, activity)
    inode = (folder / "limits").stat().st_ino
    tick(tmp_path, feedback, activity)
    assert (folder / "limits").stat().st_ino == inode
    assert feedback.counts.rewritten == 1


def test_everything_else_in_a_limits_file_stays_as_it_is() -> None:
    head = "hami-limits 1\n# a note\nlater words here\n"
    before = f"{head}device  {GPU}  memory_mib=5 new=7 yield=yes\ndevice GPU-b x=1\n"
    after = reworded(before, {GPU: Words(contended=True, yields=False)})
    assert after == f"{head}device {GPU} memory_mib=5 new=7 contended=yes\ndevice GPU-b x=1\n"


@given(st.text(), st.builds(Words, contended=st.booleans(), yields=st.booleans()))
def test_saying_it_twice_is_saying_it_once(content: str, said: Words) -> None:
    text = f"device {GPU} memory_mib=5\n{content}"
    once = reworded(text, {GPU: said})
    assert reworded(once, {GPU: said}) == once


def test_a_limits_file_that_somebody_else_changes_is_left_alone_for_now(tmp_path: Path) -> None:
    folder = container(tmp_path)
    before = (folder / "limits").read_bytes()
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    feedback = Feedback()
    tick(tmp_path, feedback, Activity())
    assert (folder / "limits").read_bytes() == before
    assert feedback.counts.failed == 1
    os.close(descriptor)
    tick(tmp_path, feedback, Activity())
    assert feedback.counts.rewritten == 1


def test_a_link_in_the_limits_files_place_is_replaced_nowhere(tmp_path: Path) -> None:
    folder = container(tmp_path)
    target = tmp_path / "target"
    target.write_text(f"hami-limits 1\ndevice {GPU}\n")
    workloads = ContainerFolders(tmp_path, node="n").look()
    (folder / "limits").unlink()
    (folder / "limits").symlink_to(target)
    feedback = Feedback()
    feedback.apply(workloads, {})
    assert target.read_text() == f"hami-limits 1\ndevice {GPU}\n"
    assert feedback.counts.failed == 1


def test_a_workload_that_ended_meanwhile_is_no_fault(tmp_path: Path) -> None:
    folder = container(tmp_path)
    workloads = ContainerFolders(tmp_path, node="n").look()
    (folder / "limits").unlink()
    folder.rmdir()
    feedback = Feedback()
    feedback.apply(workloads, {})
    assert (feedback.counts.rewritten, feedback.counts.failed) == (0, 0)
