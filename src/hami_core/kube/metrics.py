"""Metrics: HAMi's names and labels for cards, shares and quotas, and how this process itself fares."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from hami_core.kube.cluster_metrics import LEGACY, TODAY, cluster_text

if TYPE_CHECKING:
    from hami_core.kube.process import Scheduler


DECISION = ("hami_scheduler_decision_seconds", "How long filter, prioritize and bind took.")
BUILD = ("hami_build_info", "What runs.")
GAUGES = {
    "hami_scheduler_leader": "1 where this process decides.",
    "hami_scheduler_synced": "1 where the whole cluster is in the cache.",
    "hami_scheduler_nodes": "Nodes in the cache.",
    "hami_scheduler_pods": "Pods that hold devices.",
    "hami_scheduler_reservations": "Pods between filter and binding.",
    "hami_scheduler_node_locks": "Nodes that are locked for one pod.",
    "hami_scheduler_strays": "Shares of cards that no node registers.",
    "hami_scheduler_unreadable_objects": "Objects with annotations that cannot be read.",
    "hami_scheduler_certificate_expiry_seconds": "When the certificate ends, unix time.",
}
COUNTERS = {
    "hami_scheduler_reservations_expired": "Reservations that were never bound.",
    "hami_scheduler_stale_allocations": "Allocations given back whose pods were never bound.",
    "hami_scheduler_locks_cleared": "Orphan node locks that were freed.",
    "hami_scheduler_drift": "Pods that the audit had to book anew: should be 0.",
    "hami_scheduler_lock_waits": "Binds that took a node lock.",
    "hami_scheduler_lock_wait_seconds": "Time that binds waited for node locks.",
    "hami_scheduler_events_dropped": "Events that were not written for want of room.",
    "hami_scheduler_config_reloads_failed": "Changed configurations that could not be used.",
}
_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Everything that is measured, as Prometheus' text.

    Args:
        scheduler: the process.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self.asked_s = time.monotonic()  # when the last decision was asked for
        self._scheduler = scheduler
        self._registry = CollectorRegistry()
        self._took = Histogram(
            *DECISION,
            ["verb"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._registry.register(_Process(scheduler))

    def took(self, verb: str, seconds: float) -> None:
        """Count one decision."""
        self.asked_s = time.monotonic()
        self._took.labels(verb).observe(seconds)

    def text(self) -> bytes:
        """What `/metrics` answers."""
        cache = self._scheduler.cache
        parts = [generate_latest(self._registry), cluster_text(cache, TODAY).encode()]
        if self._scheduler.settings.legacy_metrics:
            parts.append(cluster_text(cache, LEGACY).encode())
        return b"".join(parts)


class _Process:
    """How this process fares."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def describe(self) -> Iterable[Metric]:
        """Nothing: what is there is known when it is scraped."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All samples."""
        scheduler, cache = self._scheduler, self._scheduler.cache
        gauges: dict[str, float | None] = {
            "hami_scheduler_leader": scheduler.elector.leads,
            "hami_scheduler_synced": scheduler.synced,
            "hami_scheduler_nodes": len(cache.inventories),
            "hami_scheduler_pods": len(cache.placed),
            "hami_scheduler_reservations": len(cache.flights),
            "hami_scheduler_node_locks": len(cache.locks),
            "hami_scheduler_strays": len(cache.fleet.strays()),
            "hami_scheduler_unreadable_objects": len(cache.problems),
            "hami_scheduler_certificate_expiry_seconds": scheduler.certificate_expires(),
        }
        for name, value in gauges.items():
            if value is not None:
                yield GaugeMetricFamily(name, GAUGES[name], value=float(value))
        counts, waits = cache.counts, scheduler.binding.waits
        counters = {
            "hami_scheduler_reservations_expired": counts.expired,
            "hami_scheduler_stale_allocations": counts.stale,
            "hami_scheduler_locks_cleared": counts.locks_cleared,
            "hami_scheduler_drift": counts.drift,
            "hami_scheduler_lock_waits": waits.count,
            "hami_scheduler_lock_wait_seconds": waits.seconds,
            "hami_scheduler_events_dropped": scheduler.events.dropped,
            "hami_scheduler_config_reloads_failed": scheduler.bad_configs,
        }
        for name, count in counters.items():
            yield CounterMetricFamily(name, COUNTERS[name], value=count)
        build = GaugeMetricFamily(*BUILD, labels=("version", "platform"))
        build.add_metric((version("hami-core"), f"{platform.system().lower()}/{platform.machine()}"), 1)
        yield build
