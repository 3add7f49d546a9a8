"""Starting a command: the lease is its own before its first instruction; signals, streams, exit codes pass through."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from hami_core.local.launch import CannotStart, Launcher, find_program
from hami_core.local.process import Process, describe

RUN = textwrap.dedent(
    """
    import os, sys
    from hami_core.local.launch import CannotStart, Launcher, find_program

    def hand_over(owner):
        if os.environ.get("OWNER_FILE"):
            with open(os.environ["OWNER_FILE"], "w") as file:
                file.write(str(owner.pid))
        if os.environ.get("DIE_AT_GATE"):
            os.kill(os.getpid(), 9)

    with Launcher() as launcher:
        code = launcher.run(find_program(sys.argv[1], os.environ), sys.argv[1:], os.environ, hand_over)
    sys.exit(code)
    """
)


def start(*command: str, new_session: bool = True, **environ: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RUN, *command],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=new_session, env={**os.environ, **environ},
    )  # fmt: skip


def ready(process: subprocess.Popen[str]) -> None:
    """Wait until the command has said that it runs."""
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"


def script(body: str) -> tuple[str, ...]:
    return sys.executable, "-u", "-c", textwrap.dedent(body)


def test_exit_codes_and_streams_pass_through() -> None:
    with start("sh", "-c", "read line; echo out $line; echo err >&2; exit 7") as process:
        assert process.communicate("hello\n") == ("out hello\n", "err\n")
    assert process.returncode == 7


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV], ids=lambda n: n.name)
def test_a_command_ended_by_a_signal_gives_128_and_the_signals_number(number: signal.Signals) -> None:
    with start("sh", "-c", f"ulimit -c 0; kill -{int(number)} $$") as process:
        _, errors = process.communicate()
    assert process.returncode == 128 + number, errors


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2],
    ids=lambda n: n.name,
)  # fmt: skip
def test_a_signal_to_us_reaches_the_command_and_we_end_with_its_exit_code(number: signal.Signals) -> None:
    with start(*script(
        f"""
        import signal, sys
        signal.signal({int(number)}, lambda *_: sys.exit(40))
        print("ready")
        signal.pause()
        """
    )) as process:  # fmt: skip
        ready(process)
        process.send_signal(number)
        _, errors = process.communicate()
    assert process.returncode == 40, errors


def test_a_signal_to_our_whole_group_reaches_the_command_once() -> None:
    with start(*script(
        """
        import signal, sys, time
        seen = []
        signal.signal(signal.SIGUSR1, lambda *_: seen.append(1))
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(40 + len(seen)))
        print("ready")
        told = 0
        while True:  # no pause(): a signal just before it would be slept through
            time.sleep(0.01)
            if len(seen) > told:
                told = len(seen)
                print("seen", told)
        """
    )) as process:  # fmt: skip
        ready(process)
        os.killpg(process.pid, signal.SIGUSR1)
        assert process.stdout is not None
        assert process.stdout.readline() == "seen 1\n"
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == 41


def test_a_signal_reaches_what_the_command_started_too() -> None:
    with start("sh", "-c", "sleep 300 & echo $!; wait; sleep 300") as process:
        assert process.stdout is not None
        sleeper = int(process.stdout.readline())
        assert describe(sleeper) is not None
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert_gone(sleeper)


def test_the_command_is_the_owner_before_it_runs(tmp_path: Path) -> None:
    owner = tmp_path / "owner"
    with start("sh", "-c", f"echo $$; cat {owner}", OWNER_FILE=str(owner)) as process:
        out, errors = process.communicate()
    first, second = out.split()
    assert first == second, errors


def test_a_command_whose_starter_is_killed_at_the_gate_never_runs(tmp_path: Path) -> None:
    owner, ran = tmp_path / "owner", tmp_path / "ran"
    with start("touch", str(ran), DIE_AT_GATE="1", OWNER_FILE=str(owner)) as process:
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert_gone(int(owner.read_text()))
    assert not ran.exists()


def test_a_failed_hand_over_sends_the_command_away(tmp_path: Path) -> None:
    owners: list[Process] = []

    def refuse(owner: Process) -> None:
        owners.append(owner)
        raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="disk is full"), Launcher() as launcher:
        launcher.run("/usr/bin/touch", ["touch", str(tmp_path / "ran")], os.environ, refuse)
    assert_gone(owners[0].pid)
    assert not (tmp_path / "ran").exists()


def test_the_command_lives_on_when_its_starter_is_killed(tmp_path: Path) -> None:
    owner = tmp_path / "owner"
    with start("sh", "-c", "echo ready; exec sleep 300", OWNER_FILE=str(owner)) as process:
        ready(process)
        process.kill()
        process.wait()
        command = describe(int(owner.read_text()))
        assert command is not None
        assert command.alive()
        os.kill(command.pid, signal.SIGKILL)


def test_the_command_gets_default_signals_and_an_open_mask() -> None:
    # From a process with nothing ignored: what runs the tests may have ignored some, and that is passed on.
    command = ["env", "--default-signal", sys.executable, "-c", RUN, "grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    # Signals 32 and 33 are the C library's own: its posix_spawn leaves them ignored, and no program can change that.
    ours = ~(1 << 31 | 1 << 32)
    assert [int(line.split()[1], 16) & ours for line in ended.stdout.splitlines()] == [0, 0], ended.stderr


def test_nohup_still_protects_the_command() -> None:
    command = ["nohup", sys.executable, "-c", RUN, "grep", "^SigIgn", "/proc/self/status"]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert int(ended.stdout.split()[1], 16) & 1 << (signal.SIGHUP - 1), ended.stderr


def test_no_descriptor_of_ours_leaks_into_the_command() -> None:
    with start("ls", "-l", "/proc/self/fd") as process:
        out, _ = process.communicate()
    opened = {line.split()[-3] for line in out.splitlines() if "->" in line}
    assert opened <= {"0", "1", "2", "3"}, out  # 3: the folder that ls itself reads


@pytest.mark.parametrize(
    ("program", "code", "text"),
    [
        pytest.param("no-such-program", 127, "no such program on the PATH", id="not on the PATH"),
        pytest.param("./no-such-program", 127, "no such program$", id="no such path"),
        pytest.param("/etc/passwd", 126, "not an executable file", id="not executable"),
        pytest.param("/etc", 126, "not an executable file", id="a folder"),
    ],
)
def test_a_program_that_cannot_run_is_named_with_the_shells_exit_code(program: str, code: int, text: str) -> None:
    with pytest.raises(CannotStart, match=text) as caught:
        find_program(program, os.environ)
    assert caught.value.exit_code == code


def test_what_the_kernel_will_not_execute_is_said_so(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF is not enough")
    broken.chmod(0o755)
    with pytest.raises(CannotStart, match=r"cannot run .*broken: Exec format error") as caught, Launcher() as launcher:
        launcher.run(str(broken), [str(broken)], os.environ, lambda _owner: None)
    assert caught.value.exit_code == 126


def in_terminal(*command: str) -> tuple[int, int]:
    """Start the launcher as the foreground of a terminal of its own; return its pid and the terminal's other end."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", RUN, *command])
    return pid, terminal


def read_until(terminal: int, wanted: str) -> str:
    seen = ""
    while wanted not in seen:
        assert select.select([terminal], [], [], 60)[0], f"waiting for {wanted!r}, saw {seen!r}"
        seen += os.read(terminal, 4096).decode()
    return seen


def test_ctrl_c_at_a_terminal_reaches_the_command_once() -> None:
    pid, terminal = in_terminal(*script(
        """
        import signal, sys, time
        seen = []
        signal.signal(signal.SIGINT, lambda *_: seen.append(1))
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(40 + len(seen)))
        print("ready")
        told = 0
        while True:  # no pause(): a signal just before it would be slept through
            time.sleep(0.01)
            if len(seen) > told:
                told = len(seen)
                print("seen", told)
        """
    ))  # fmt: skip
    read_until(terminal, "ready")
    os.write(terminal, b"\x03")
    read_until(terminal, "seen 1")
    os.kill(pid, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 41
    os.close(terminal)


def test_a_command_at_a_terminal_reads_from_it() -> None:
    pid, terminal = in_terminal("sh", "-c", "echo ready; read line; echo got $line")
    read_until(terminal, "ready")
    os.write(terminal, b"hello\n")
    read_until(terminal, "got hello")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(terminal)


def assert_gone(pid: int) -> None:
    deadline = time.monotonic() + 60
    while describe(pid) is not None:
        assert time.monotonic() < deadline, f"process {pid} still runs"
        time.sleep(0.01)
