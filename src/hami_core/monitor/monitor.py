"""The monitor as a whole: look, measure who is at work, and tell workloads about each other."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from hami_core.errors import HamiError
from hami_core.isolation.processes import cgroup_of, running_processes
from hami_core.monitor.activity import Activity, Reading
from hami_core.monitor.bypass import BypassReport
from hami_core.monitor.devices import DeviceWatch
from hami_core.monitor.feedback import Feedback
from hami_core.monitor.picture import Picture
from hami_core.monitor.reaper import Reaper
from hami_core.monitor.workload import Source, Workload

_log = logging.getLogger(__name__)


class Monitor:
    """Watches the workloads of `sources` on the devices of `devices`.

    Args:
        sources: where workloads come from.
        devices: the devices; its thread is the caller's.
        feedback: tells workloads about each other; None only looks.
        reaper: frees what ended containers held; None leaves that to the library.
        report: tells the node agent of pods that use a device past the library.
        cgroup: the control groups of a pid.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        devices: DeviceWatch,
        *,
        feedback: Feedback | None = None,
        reaper: Reaper | None = None,
        report: BypassReport | None = None,
        cgroup: Callable[[int], str] = cgroup_of,
    ) -> None:
        self._sources = sources
        self._devices = devices
        self.feedback = feedback
        self.reaper = reaper
        self._report = report
        self._cgroup = cgroup
        self._activity = Activity()
        self._readings: dict[tuple[str, str], Reading] = {}
        self.failed_looks = 0
        self._ended = threading.Event()

    def look(self) -> tuple[Workload, ...]:
        """The workloads now. A source that fails has none for once, and is counted."""
        found: list[Workload] = []
        for source in self._sources:
            try:
                found.extend(source.look())
            except (HamiError, OSError) as err:
                self.failed_looks += 1
                _log.warning("cannot look at workloads: %s", err)
        return tuple(found)

    def tick(self) -> None:
        """Measure who is at work, and tell the others."""
        workloads = self.look()
        now_ns = time.monotonic_ns()
        self._readings = self._activity.update(workloads, now_ns=now_ns)
        if self.reaper is not None:
            self.reaper.apply(workloads, now_ns=now_ns)
        if self._report is not None and self._report.wants(self._devices.now()):
            self._report.apply(self.picture())
        if self.feedback is not None:
            self.feedback.apply(workloads, self._readings)

    def run(self, period_s: float) -> None:
        """Tick every `period_s` until `end`."""
        while not self._ended.is_set():
            self.tick()
            self._ended.wait(period_s)

    def end(self) -> None:
        """Make `run` return."""
        self._ended.set()

    def picture(self) -> Picture:
        """Everything at this moment; the devices as of the last look at them."""
        return Picture(
            workloads=self.look(),
            devices=self._devices.now(),
            processes=running_processes(),
            readings=self._readings,
            now_ns=time.monotonic_ns(),
            cgroup=self._cgroup,
        )
