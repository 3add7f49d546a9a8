"""Naming a process so that nobody is mistaken for it later: a pid alone is reused."""

from __future__ import annotations

import os
from pathlib import Path

import attrs

_PROC = Path("/proc")
_DEAD_STATES = frozenset("ZXx")  # a zombie has let go of everything; only its parent has not looked yet


@attrs.frozen(kw_only=True)
class Process:
    """A process by pid, start time and boot; `pid_namespace` says where the pid means anything."""

    pid: int
    start_ticks: int  # clock ticks after boot, field 22 of /proc/<pid>/stat
    boot_id: str
    pid_namespace: int  # inode of /proc/self/ns/pid

    def alive(self) -> bool:
        """Whether the process still runs. What cannot be seen from here counts as running: unknown is not gone."""
        if self.boot_id != _boot_id():
            return False
        if self.pid_namespace != _pid_namespace():
            return True
        stat = _stat(self.pid)
        if stat is None:
            return _exists(self.pid)
        state, start_ticks = stat
        return state not in _DEAD_STATES and start_ticks == self.start_ticks


def describe(pid: int) -> Process | None:
    """Name the process that has `pid` now; None when there is none."""
    stat = _stat(pid)
    if stat is None or stat[0] in _DEAD_STATES:
        return None
    return Process(pid=pid, start_ticks=stat[1], boot_id=_boot_id(), pid_namespace=_pid_namespace())


def of_this_boot(pid: int, start_ticks: int | None, pid_namespace: int | None) -> Process | None:
    """A process as a region names it; parts that are unknown are those of the process that has `pid` now, if any."""
    if start_ticks is None:
        return describe(pid)
    namespace = _pid_namespace() if pid_namespace is None else pid_namespace
    return Process(pid=pid, start_ticks=start_ticks, boot_id=_boot_id(), pid_namespace=namespace)


def _stat(pid: int) -> tuple[str, int] | None:
    """State and start time of a process, from proc(5); None when /proc does not show it."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The command's name stands in parentheses and may hold spaces and parentheses of its own.
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])


def _exists(pid: int) -> bool:
    """Ask the kernel directly: /proc may be mounted with hidepid, which hides other users' processes."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _boot_id() -> str:
    return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _pid_namespace() -> int:
    return (_PROC / "self/ns/pid").stat().st_ino
