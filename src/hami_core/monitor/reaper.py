"""Gives back what the processes of an ended container held in its region, so that its next start has its whole share.

A container that starts again gets the region of the one before it, and cannot look up that one's processes: they were
of another PID namespace. Until their slots have been silent for 30 s (native/core/reap.c) the library counts their
memory. This host sees that the namespace has ended and frees them at once.

Nothing that lives is touched, and no slot is freed by two: only slots of a namespace without processes, and only while
the library still leaves them alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from hami_core.isolation.processes import ProcessTable, running_processes
from hami_core.isolation.region import RegionProcess
from hami_core.isolation.release import release_slot
from hami_core.monitor.workload import Workload

_log = logging.getLogger(__name__)

LIBRARY_WAITS_NS = 30_000_000_000
"""SILENCE_NS of native/core/reap.c."""

_LEFT_TO_LIBRARY_NS = 5_000_000_000  # longer than between the look at a slot and its release
_PERIOD_NS = 2_000_000_000


class Reaper:
    """Frees the slots of namespaces that have ended.

    Args:
        processes: looks at this host's processes.
    """

    def __init__(self, processes: Callable[[], ProcessTable] = running_processes) -> None:
        self._processes = processes
        self._looked_ns: int | None = None
        self.freed = 0
        self.failed = 0

    def apply(self, workloads: Iterable[Workload], *, now_ns: int) -> None:
        """Free what can be freed, every two seconds at most: /proc is read for it.

        Args:
            workloads: as they are now.
            now_ns: the monotonic clock, as regions use it.
        """
        if self._looked_ns is not None and 0 <= now_ns - self._looked_ns < _PERIOD_NS:
            return
        self._looked_ns = now_ns
        silent = [(workload.region_path, each) for workload in workloads for each in _candidates(workload, now_ns)]
        if not silent:
            return
        # After the regions: who is in a region and not in this table has ended in between, never started.
        table = self._processes()
        for path, process in silent:
            if process.pid_namespace not in (None, table.namespace) and table.ended(process.pid_namespace):
                self._free(path, process)

    def _free(self, path: Path, process: RegionProcess) -> None:
        try:
            freed = release_slot(path, process)
        except OSError as err:
            self.failed += 1
            _log.warning("%s: cannot free the slot of process %d: %s", path, process.pid, err)
            return
        if freed:
            self.freed += 1
            _log.info("%s: process %d ended with its container, what it held is free", path, process.pid)


def _candidates(workload: Workload, now_ns: int) -> Iterator[RegionProcess]:
    for process in () if workload.region is None else workload.region.processes:
        if 0 <= now_ns - process.active_ns < LIBRARY_WAITS_NS - _LEFT_TO_LIBRARY_NS:
            yield process
