"""Metrics: HAMi's names and labels for cards, shares and quotas, and how this process itself fares."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from hami_core.kube.cluster_metrics import LEGACY, TODAY, cluster_text

if TYPE_CHECKING:
    from hami_core.kube.process import Scheduler

_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Everything that is measured, as Prometheus' text.

    Args:
        scheduler: the process.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._registry = CollectorRegistry()
        self._took = Histogram(
            "hami_scheduler_decision_seconds",
            "How long filter, prioritize and bind took.",
            ["verb"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._registry.register(_Process(scheduler))

    def took(self, verb: str, seconds: float) -> None:
        """Count one decision."""
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
        scheduler = self._scheduler
        cache = scheduler.cache
        gauges: tuple[tuple[str, str, Callable[[], float]], ...] = (
            ("hami_scheduler_leader", "1 where this process decides.", lambda: scheduler.elector.leads),
            ("hami_scheduler_synced", "1 where the whole cluster is in the cache.", lambda: scheduler.synced),
            ("hami_scheduler_reservations", "Pods between filter and binding.", lambda: len(cache.flights)),
            ("hami_scheduler_nodes", "Nodes in the cache.", lambda: len(cache.inventories)),
            ("hami_scheduler_pods", "Pods that hold devices.", lambda: len(cache.placed)),
            ("hami_scheduler_node_locks", "Nodes that are locked for one pod.", lambda: len(cache.locks)),
            ("hami_scheduler_strays", "Shares of cards that no node registers.", lambda: len(cache.fleet.strays())),
            (
                "hami_scheduler_unreadable_objects",
                "Objects with annotations that cannot be read.",
                lambda: len(cache.problems),
            ),
        )
        for name, text, read in gauges:
            yield GaugeMetricFamily(name, text, value=float(read()))
        expires = scheduler.certificate_expires()
        if expires is not None:
            yield GaugeMetricFamily("hami_scheduler_certificate_expiry_seconds", "Unix time of its end.", value=expires)
        counts, waits = cache.counts, scheduler.binding.waits
        counters = (
            ("hami_scheduler_reservations_expired", "Reservations that were never bound.", counts.expired),
            ("hami_scheduler_stale_allocations", "Allocations given back whose pods were never bound.", counts.stale),
            ("hami_scheduler_locks_cleared", "Orphan node locks that were freed.", counts.locks_cleared),
            ("hami_scheduler_drift", "Pods that the audit had to book anew.", counts.drift),
            ("hami_scheduler_lock_waits", "Binds that took a node lock.", waits.count),
            ("hami_scheduler_lock_wait_seconds", "Time that binds waited for node locks.", waits.seconds),
            (
                "hami_scheduler_events_dropped",
                "Events that were not written for want of room.",
                scheduler.events.dropped,
            ),
            (
                "hami_scheduler_config_reloads_failed",
                "Changed configurations that could not be used.",
                scheduler.bad_configs,
            ),
        )
        for name, text, count in counters:
            yield CounterMetricFamily(name, text, value=count)
        build = GaugeMetricFamily("hami_build_info", "What runs.", labels=("version", "platform"))
        build.add_metric((version("hami-core"), f"{platform.system().lower()}/{platform.machine()}"), 1)
        yield build
