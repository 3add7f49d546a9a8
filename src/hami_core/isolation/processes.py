"""Which processes of this host a region means. Regions name them as their container sees them.

Found by namespace and pid in ``/proc``, so the library needs no probe and no privilege to say who it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import attrs

from hami_core.isolation.region import RegionProcess

_HOST_NAMESPACE = 0xEFFFFFFC  # PROC_PID_INIT_INO of linux/proc_ns.h: the namespace from which all others are seen
_DEAD_STATES = frozenset("ZXx")


@attrs.frozen(kw_only=True)
class HostProcess:
    """A running process: its pid here, and when it started (field 22 of ``/proc/PID/stat``)."""

    pid: int
    start_ticks: int


@attrs.frozen(kw_only=True)
class ProcessTable:
    """The processes of this host at one moment, by namespace and the pid inside it.

    `complete` is False when some may not be looked at: then who is missing may still be there.
    """

    namespace: int
    running: Mapping[tuple[int, int], HostProcess] = attrs.field(hash=False)
    complete: bool = True

    def host_pid(self, process: RegionProcess) -> int | None:
        """The pid on this host; None when the process is gone or cannot be seen from here."""
        namespace = process.pid_namespace or self.namespace
        found = self.running.get((namespace, process.pid))
        if found is None or process.start_ticks not in (None, found.start_ticks):
            return None
        return found.pid

    def alive(self, process: RegionProcess) -> bool:
        """Whether the process still runs. What cannot be seen from here counts as running: unknown is not gone."""
        if self.host_pid(process) is not None:
            return True
        return self.namespace not in (_HOST_NAMESPACE, process.pid_namespace or self.namespace)

    def ended(self, namespace: int) -> bool:
        """Whether a PID namespace is known to have no process any more; then it never has one again."""
        everything = self.complete and self.namespace == _HOST_NAMESPACE
        return everything and not any(running == namespace for running, _pid in self.running)


def running_processes(proc: Path = Path("/proc")) -> ProcessTable:
    """Look at every process once."""
    running = {}
    complete = True
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state, start_ticks = _stat(entry)
            if state in _DEAD_STATES:
                continue
            namespace = (entry / "ns/pid").stat().st_ino
            inside = _pid_inside(entry)
        except PermissionError:
            complete = False  # another user's
            continue
        except (OSError, ValueError, IndexError):
            continue  # gone meanwhile
        running[namespace, inside] = HostProcess(pid=int(entry.name), start_ticks=start_ticks)
    own = (proc / "self/ns/pid").stat().st_ino
    return ProcessTable(namespace=own, running=running, complete=complete)


def _stat(entry: Path) -> tuple[str, int]:
    # The command's name stands in parentheses and may hold spaces and parentheses of its own.
    fields = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return fields[0], int(fields[19])


def _pid_inside(entry: Path) -> int:
    """The pid in the innermost namespace, the last of the line ``NSpid:``."""
    for line in (entry / "status").read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("NSpid:"):
            return int(line.split()[-1])
    return int(entry.name)


def cgroup_of(pid: int, proc: Path = Path("/proc")) -> str:
    """The control groups of a process, as the kernel lists them; empty when it is gone."""
    try:
        return (proc / str(pid) / "cgroup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def in_pod(cgroup: str, uid: str) -> bool:
    """Whether a process of this group is of the pod. kubelet names groups by UID, for systemd with underscores."""
    spelt = "|".join(re.escape(form) for form in (uid, uid.replace("-", "_")))
    return re.search(rf"pod(?:{spelt})(?![0-9A-Za-z_-])", cgroup) is not None
