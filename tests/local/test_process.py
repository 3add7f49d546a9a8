"""A process is named by pid, start time and boot, so that a reused pid is never taken for the one before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import attrs

from hami_core.local.process import Process, describe


def sleeping() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])


def test_a_running_process_is_alive() -> None:
    me = describe(os.getpid())
    assert me is not None
    assert me.pid == os.getpid()
    assert me.alive()


def test_a_killed_process_is_not_alive_even_before_its_parent_has_looked() -> None:
    with sleeping() as child:
        named = describe(child.pid)
        assert named is not None
        child.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # a zombie now
        assert not named.alive()
        assert describe(child.pid) is None


def test_a_process_that_got_the_pid_of_a_dead_one_is_somebody_else() -> None:
    me = describe(os.getpid())
    assert me is not None
    assert not attrs.evolve(me, start_ticks=me.start_ticks - 1).alive()


def test_nothing_from_before_the_last_boot_is_alive() -> None:
    me = describe(os.getpid())
    assert me is not None
    assert not attrs.evolve(me, boot_id="00000000-0000-0000-0000-000000000000").alive()


def test_a_process_of_another_pid_namespace_counts_as_alive_because_it_cannot_be_seen() -> None:
    me = describe(os.getpid())
    assert me is not None
    assert attrs.evolve(me, pid=2**22 + 1, pid_namespace=1).alive()


def test_a_pid_nobody_has_is_not_alive() -> None:
    me = describe(os.getpid())
    assert me is not None
    assert describe(2**22 + 1) is None
    assert not attrs.evolve(me, pid=2**22 + 1).alive()


def test_a_command_name_with_spaces_and_parentheses_is_read_right(tmp_path) -> None:
    program = tmp_path / "a) S (b 1"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([str(program), "300"]) as child:
        named = describe(child.pid)
        child.kill()
    me = describe(os.getpid())
    assert isinstance(named, Process)
    assert me is not None
    assert named.start_ticks >= me.start_ticks
