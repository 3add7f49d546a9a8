"""Metrics: HAMi's names and labels for cards, shares and quotas, and how this process itself fares."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from hami_core.errors import UnknownName
from hami_core.kube.legacy_metrics import legacy
from hami_core.units import MIB

if TYPE_CHECKING:
    from hami_core.kube.process import Scheduler
    from hami_core.model import DeviceUse

_CARD = ("node", "device_uuid", "device_index", "device_type", "zone")
_SHARE = ("namespace", "node", "pod", "container_index", "device_uuid", "zone")
_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Everything that is measured, as Prometheus' text.

    Args:
        scheduler: the process.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._registry = CollectorRegistry()
        self._took = Histogram(
            "hami_scheduler_decision_seconds",
            "How long filter, prioritize and bind took.",
            ["verb"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._registry.register(_Cluster(scheduler))
        self._registry.register(_Process(scheduler))

    def took(self, verb: str, seconds: float) -> None:
        """Count one decision."""
        self._took.labels(verb).observe(seconds)

    def text(self) -> bytes:
        """What `/metrics` answers."""
        return generate_latest(self._registry)


class _Cluster:
    """Cards, shares and quotas, read when they are scraped. Runs in a thread: each look at the fleet is one step."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def describe(self) -> Iterable[Metric]:
        """Nothing: what is there is known when it is scraped."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All samples."""
        yield from self._today()
        if self._scheduler.settings.legacy_metrics:
            yield from legacy(self._today())

    def _today(self) -> Iterator[Metric]:
        yield from self._cards()
        yield from self._shares()
        yield from self._quotas()

    def _cards(self) -> Iterator[Metric]:
        def gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
            return GaugeMetricFamily(name, text, labels=(*_CARD[:-1], *labels, "zone"))

        limit = gauge("hami_gpu_memory_limit_bytes", "Memory of the card that may be shared.")
        cores = gauge("hami_gpu_core_limit_ratio", "Cores of the card that may be shared.")
        count = gauge("hami_gpu_shared_count", "Containers that share the card.")
        cores_used = gauge("hami_gpu_core_allocated_ratio", "Cores of the card that are given away.")
        part = gauge("hami_node_gpu_memory_allocated_ratio", "Part of the card's memory that is given away, 0 to 1.")
        memory = gauge("hami_gpu_memory_allocated_bytes", "Memory of the card that is given away.", "device_cores")
        overview = gauge("hami_node_gpu_overview", "As above.", "device_cores", "device_memory_limit")
        for node, use in self._uses():
            card = use.device
            labels = (node, card.uuid, str(card.index), card.model)
            used = use.memory_used_mib * MIB
            core_label, limit_label = str(use.core_units_used), str(card.memory_mib)
            limit.add_metric((*labels, "vGPU"), card.memory_mib * MIB)
            cores.add_metric((*labels, "vGPU"), card.core_units)
            count.add_metric((*labels, "vGPU"), use.slots_used)
            cores_used.add_metric((*labels, "vGPU"), use.core_units_used)
            part.add_metric((*labels, "vGPU"), use.memory_used_mib / card.memory_mib if card.memory_mib else 0)
            memory.add_metric((*labels, core_label, "vGPU"), used)
            overview.add_metric((*labels, core_label, limit_label, "vGPU"), used)
        yield from (limit, cores, count, cores_used, part, memory, overview)

    def _uses(self) -> Iterator[tuple[str, DeviceUse]]:
        fleet = self._scheduler.cache.fleet
        for node in fleet.nodes:
            try:
                uses = fleet.uses(node)
            except UnknownName:  # gone since the names were taken
                continue
            for use in uses:
                yield node, use

    def _shares(self) -> Iterator[Metric]:
        memory = GaugeMetricFamily("hami_vgpu_memory_allocated_bytes", "Memory of a container's share.", labels=_SHARE)
        cores = GaugeMetricFamily("hami_vgpu_core_allocated_ratio", "Cores of a container's share.", labels=_SHARE)
        cache = self._scheduler.cache
        for key in list(cache.placed):
            held = cache.fleet.holding(key)
            if held is None:
                continue
            namespace, _, name = held.label.partition("/")
            for index, container in enumerate(held.placement.containers):
                for shares in container.shares.values():
                    for share in shares:
                        labels = (namespace, held.placement.node, name, str(index), share.uuid, "vGPU")
                        memory.add_metric(labels, share.memory_mib * MIB)
                        cores.add_metric(labels, share.core_units)
        yield from (memory, cores)

    def _quotas(self) -> Iterator[Metric]:
        names = ("namespace", "quota_name", "zone")
        limit = GaugeMetricFamily(
            "hami_resource_quota_limit", "A namespace's limit, in the resource's unit.", labels=names
        )
        used_names = ("namespace", "quota_name", "limit", "zone")
        used = GaugeMetricFamily(
            "hami_resource_quota_used", "What a namespace uses, MiB or core units.", labels=used_names
        )
        cache = self._scheduler.cache
        for namespace in sorted({where for where, _name in list(cache.quotas)}):
            limits, taken = cache.fleet.quota(namespace)
            for resource, most in sorted(limits.items()):
                limit.add_metric((namespace, resource, "vGPU"), most)
                used.add_metric((namespace, resource, str(most), "vGPU"), taken.get(resource, 0))
        yield from (limit, used)


class _Process:
    """How this process fares."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def describe(self) -> Iterable[Metric]:
        """Nothing, as above."""
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
