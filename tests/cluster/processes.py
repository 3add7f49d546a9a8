"""Programs under test as child processes: each writes a log, is waited for, and never outlives the test run."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

LOG_TAIL_LINES = 40
STOP_TIMEOUT_S = 10.0


class NotReady(AssertionError):
    """Something did not come about in time; the message carries what is known."""


def free_port() -> int:
    """A TCP port on loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(
    what: str,
    look: Callable[[], T | None],
    *,
    timeout_s: float,
    pause_s: float = 0.05,
    raises: bool = False,
    explain: Callable[[], str] | None = None,
) -> T:
    """The first answer of `look` that is not None, False or empty.

    What `look` raises counts as too early, unless `raises` lets it through. `explain` says what is still missing.
    """
    deadline = time.monotonic() + timeout_s
    last: object = None
    while True:
        try:
            found = look()
        except Exception as err:
            if raises:
                raise
            found, last = None, err
        if found:
            return found
        if time.monotonic() >= deadline:
            known = explain() if explain is not None else repr(last) if last else ""
            raise NotReady(f"{what}: not within {timeout_s:g} s" + (f"; last: {known}" if known else ""))
        time.sleep(pause_s)


class Service:
    """One program; started, stopped, killed and started again under the same command line."""

    def __init__(self, name: str, argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.argv = [str(word) for word in argv]
        self.log = log
        self.env = {**os.environ, **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it dies with the test run even when that is killed."""
        with self.log.open("ab") as sink:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *self.argv],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                env=self.env,
                cwd=self.log.parent,
                start_new_session=True,  # Ctrl-C reaches the test run alone, which then stops everything in order
            )

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def wait_ready(self, look: Callable[[], object], *, timeout_s: float = 120.0) -> None:
        """Wait until `look` answers; fails at once, with the log, when the program ends before."""

        def check() -> object:
            if not self.running:
                return self
            return look()

        try:
            answer = wait_for(f"{self.name} ready", check, timeout_s=timeout_s)
        except NotReady as err:
            raise NotReady(f"{err}\n{self.tail()}") from err
        if answer is self:
            raise NotReady(f"{self.name} ended before it was ready\n{self.tail()}")

    def stop(self) -> None:
        """Ask it to end, then make it."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it without a chance to tidy up."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Let it stand still until `thaw`: it hears and does nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def revive(self) -> None:
        """Start it again if it ended by itself; not if it was stopped or killed here."""
        if self._process is not None and self._process.poll() is not None:
            self.start()

    def tail(self, lines: int = LOG_TAIL_LINES) -> str:
        """The end of its log, for messages."""
        if not self.log.exists():
            return f"--- {self.name}: no log"
        text = self.log.read_text(errors="replace").splitlines()[-lines:]
        return "\n".join([f"--- {self.name} ({self.log})", *text])

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(how)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
