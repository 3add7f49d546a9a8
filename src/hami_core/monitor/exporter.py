"""The monitor's answers to Prometheus, made from what is there at the time of the scrape."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator
from importlib.metadata import version

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from hami_core.monitor import hami_names, schema
from hami_core.monitor.monitor import Monitor
from hami_core.monitor.picture import Picture
from hami_core.monitor.sheet import Sheet, Spec

SPECS = (
    Spec(name="hami_monitor_probe_up", says="1 where the vendor's driver answered last.", labels=("vendor",)),
    Spec(name="hami_monitor_workloads", says="Leases and containers that are watched."),
    Spec(name="hami_monitor_sources_failed_total", says="Looks at workloads that failed.", counter=True),
    Spec(name="hami_monitor_limits_rewritten_total", says="Limits files that feedback changed.", counter=True),
    Spec(name="hami_monitor_limits_failed_total", says="Limits files that it could not change.", counter=True),
    Spec(name="hami_monitor_slots_freed_total", says="Slots freed whose container has ended.", counter=True),
    Spec(name="hami_monitor_slots_failed_total", says="Slots that it could not free.", counter=True),
    Spec(name="hami_build_info", says="What runs.", labels=("version", "platform")),
)


class Exporter:
    """Everything that `monitor` sees, as a collector. It keeps nothing: what is gone leaves no series behind.

    Args:
        monitor: the monitor.
        legacy: also export the names that HAMi had before 2.9.
    """

    def __init__(self, monitor: Monitor, *, legacy: bool = False) -> None:
        self._monitor = monitor
        self._legacy = legacy

    def registry(self) -> CollectorRegistry:
        """A registry of its own with all metrics."""
        registry = CollectorRegistry()
        registry.register(self)
        return registry

    def describe(self) -> Iterable[Metric]:
        """Nothing: what is there is known when it is scraped."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All samples."""
        picture = self._monitor.picture()
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
        sheet.add("hami_monitor_sources_failed_total", self._monitor.failed_looks)
        feedback = self._monitor.feedback
        if feedback is not None:
            sheet.add("hami_monitor_limits_rewritten_total", feedback.counts.rewritten)
            sheet.add("hami_monitor_limits_failed_total", feedback.counts.failed)
        reaper = self._monitor.reaper
        if reaper is not None:
            sheet.add("hami_monitor_slots_freed_total", reaper.freed)
            sheet.add("hami_monitor_slots_failed_total", reaper.failed)
        build = {"version": version("hami-core"), "platform": f"{platform.system().lower()}/{platform.machine()}"}
        sheet.add("hami_build_info", 1, build)


def specs_of_hami(*, legacy: bool) -> tuple[Spec, ...]:
    """HAMi's metrics, with those of before 2.9 if `legacy`."""
    return (*hami_names.SPECS, *hami_names.LEGACY_SPECS) if legacy else hami_names.SPECS


def all_specs() -> tuple[Spec, ...]:
    """Every metric that the monitor can export."""
    return (*schema.SPECS, *SPECS, *specs_of_hami(legacy=True))
