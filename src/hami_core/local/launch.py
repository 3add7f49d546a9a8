"""Starting a command as the owner of its lease, and staying out of its way.

The child waits, forked but not yet executing, until the books name it as the owner. So at any moment a kill -9 leaves
either a lease whose owner is dead, or a running command whose lease is its own; never a command without a lease.
"""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from hami_core.errors import HamiError
from hami_core.local.process import Process, describe

FORWARDED = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2})
_WATCHED = FORWARDED | {signal.SIGCHLD}
_FROM_KERNEL = 0x80  # SI_KERNEL of asm-generic/siginfo.h: a key pressed at the terminal, not somebody's kill()


class CannotStart(HamiError):
    """The command cannot be executed. Exit codes are the shell's: 127 not found, 126 not executable."""

    def __init__(self, message: str, *, found: bool) -> None:
        self.exit_code = 126 if found else 127
        super().__init__(message)


class Launcher:
    """Runs one command. Signals that arrive between `with` and its end are the command's, not ours."""

    def __enter__(self) -> Launcher:
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
        return self

    def __exit__(self, *_: object) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def run(
        self,
        program: str,
        command: Sequence[str],
        environ: Mapping[str, str],
        hand_over: Callable[[Process], None],
    ) -> int:
        """Run `command` to its end and return its exit code, 128+n when signal n ended it.

        Args:
            program: the file to execute (`find_program`).
            command: its arguments, the name it was called by first.
            environ: the whole environment of the command.
            hand_over: told who the command is, before its first instruction runs.

        Raises:
            CannotStart: the kernel would not execute it.
        """
        # With a terminal the child stays in our process group, so that keys, job control and pipelines work as if we
        # were not there. Without one it gets a group of its own: a signal sent to our whole group then reaches it once.
        grouped = not _has_terminal()
        gate_read, gate_write = os.pipe()
        fault_read, fault_write = os.pipe()
        with warnings.catch_warnings():
            # Python 3.12 warns of forks in processes with threads (numpy's); this child only reads, sets up and execs.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            os.close(gate_write)
            os.close(fault_read)
            self._become(program, command, environ, gate=gate_read, fault=fault_write, grouped=grouped)
        os.close(gate_read)
        os.close(fault_write)
        try:
            owner = describe(pid)
            assert owner is not None, "the child waits at the gate"
            hand_over(owner)
            os.write(gate_write, b"g")
        finally:
            # Closing without a word sends the child away: a failed hand-over must not leave it running.
            os.close(gate_write)
            problem = os.read(fault_read, 32)
            os.close(fault_read)
            if problem:
                os.waitpid(pid, 0)
        if problem:
            raise CannotStart(f"cannot run {program}: {os.strerror(int(problem))}", found=True)
        return _wait(pid, grouped=grouped)

    def _become(
        self,
        program: str,
        command: Sequence[str],
        environ: Mapping[str, str],
        *,
        gate: int,
        fault: int,
        grouped: bool,
    ) -> NoReturn:
        """In the child: wait at the gate, then turn into the command. Never returns into the parent's code."""
        try:
            if grouped:
                os.setpgid(0, 0)
            if os.read(gate, 1):
                # Python ignores these for itself; a command that inherited that would not stop at a closed pipe.
                for number in (signal.SIGPIPE, signal.SIGXFSZ):
                    signal.signal(number, signal.SIG_DFL)
                signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
                os.execve(program, list(command), dict(environ))  # noqa: S606 - running a command is the task
        except OSError as err:
            os.write(fault, str(err.errno).encode())
        finally:
            os._exit(126)


def find_program(program: str, environ: Mapping[str, str]) -> str:
    """Find the file that `program` names, on the PATH unless it has a slash.

    Raises:
        CannotStart: there is none, or it cannot be executed.
    """
    if "/" in program:
        found = Path(program).exists()
        candidates = [program]
    else:
        folders = environ.get("PATH", os.defpath).split(os.pathsep)
        candidates = [str(Path(folder or ".") / program) for folder in folders]
        found = any(Path(candidate).is_file() for candidate in candidates)
    for candidate in candidates:
        if Path(candidate).is_file() and os.access(candidate, os.X_OK):
            return candidate
    if found:
        raise CannotStart(f"cannot run {program}: not an executable file", found=True)
    where = "" if "/" in program else " on the PATH"
    raise CannotStart(f"cannot run {program}: no such program{where}", found=False)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _wait(pid: int, *, grouped: bool) -> int:
    while True:
        info = signal.sigwaitinfo(_WATCHED)
        if info.si_signo == signal.SIGCHLD:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                return _exit_code(status)
        elif grouped:
            os.killpg(pid, info.si_signo)
        elif info.si_code != _FROM_KERNEL:  # a key at the terminal reaches the whole group without us
            os.kill(pid, info.si_signo)


def _exit_code(status: int) -> int:
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
