"""The monitor as a whole: look, tell workloads about each other, and answer scrapes from what is there at that time."""

from __future__ import annotations

import logging
import platform
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from hami_core.errors import HamiError
from hami_core.monitor import hami_names, schema
from hami_core.monitor.activity import Activity, Reading
from hami_core.monitor.devices import DeviceWatch
from hami_core.monitor.feedback import Feedback
from hami_core.monitor.picture import Picture
from hami_core.monitor.processes import running_processes
from hami_core.monitor.sheet import Sheet, Spec
from hami_core.monitor.workload import Source, Workload

_log = logging.getLogger(__name__)

SPECS = (
    Spec(name="hami_monitor_probe_up", says="1 where the vendor's driver answered last.", labels=("vendor",)),
    Spec(name="hami_monitor_workloads", says="Leases and containers that are watched."),
    Spec(name="hami_monitor_sources_failed_total", says="Looks at workloads that failed.", counter=True),
    Spec(name="hami_monitor_limits_rewritten_total", says="Limits files that feedback changed.", counter=True),
    Spec(name="hami_monitor_limits_failed_total", says="Limits files that it could not change.", counter=True),
    Spec(name="hami_build_info", says="What runs.", labels=("version", "platform")),
)


class Monitor:
    """Watches the workloads of `sources` on the devices of `devices`.

    Args:
        sources: where workloads come from.
        devices: the devices; its thread is the caller's.
        feedback: tells workloads about each other; None only looks.
        legacy: also export the names that HAMi had before 2.9.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        devices: DeviceWatch,
        *,
        feedback: Feedback | None = None,
        legacy: bool = False,
    ) -> None:
        self._sources = sources
        self._devices = devices
        self._feedback = feedback
        self._legacy = legacy
        self._activity = Activity()
        self._readings: dict[tuple[str, str], Reading] = {}
        self._failed = 0
        self._ended = threading.Event()

    def look(self) -> tuple[Workload, ...]:
        """The workloads now. A source that fails has none for once, and is counted."""
        found: list[Workload] = []
        for source in self._sources:
            try:
                found.extend(source.look())
            except (HamiError, OSError) as err:
                self._failed += 1
                _log.warning("cannot look at workloads: %s", err)
        return tuple(found)

    def tick(self) -> None:
        """Measure who is at work, and tell the others."""
        workloads = self.look()
        self._readings = self._activity.update(workloads, now_ns=time.monotonic_ns())
        if self._feedback is not None:
            self._feedback.apply(workloads, self._readings)

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
        )

    def registry(self) -> CollectorRegistry:
        """A registry of its own with all metrics."""
        registry = CollectorRegistry()
        registry.register(self)
        return registry

    def describe(self) -> Iterable[Metric]:
        """Nothing: what is there is known when it is scraped."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All samples, of what is there now: what is gone leaves nothing behind."""
        picture = self.picture()
        own, theirs = Sheet((*schema.SPECS, *SPECS)), Sheet(specs_of_hami(legacy=self._legacy))
        schema.fill(own, picture)
        hami_names.fill(theirs, picture, legacy=self._legacy)
        self._fill(own, picture)
        yield from own.families()
        yield from theirs.families()

    def _fill(self, sheet: Sheet, picture: Picture) -> None:
        for vendor in picture.devices.vendors:
            sheet.add("hami_monitor_probe_up", vendor not in picture.devices.failed, {"vendor": vendor})
        sheet.add("hami_monitor_workloads", len(picture.workloads))
        sheet.add("hami_monitor_sources_failed_total", self._failed)
        if self._feedback is not None:
            sheet.add("hami_monitor_limits_rewritten_total", self._feedback.counts.rewritten)
            sheet.add("hami_monitor_limits_failed_total", self._feedback.counts.failed)
        build = {"version": version("hami-core"), "platform": f"{platform.system().lower()}/{platform.machine()}"}
        sheet.add("hami_build_info", 1, build)


def specs_of_hami(*, legacy: bool) -> tuple[Spec, ...]:
    """HAMi's metrics, with those of before 2.9 if `legacy`."""
    return (*hami_names.SPECS, *hami_names.LEGACY_SPECS) if legacy else hami_names.SPECS


def all_specs() -> tuple[Spec, ...]:
    """Every metric that the monitor can export."""
    return (*schema.SPECS, *SPECS, *specs_of_hami(legacy=True))
