"""The cluster as this process sees it: the fleet, fed by three reflectors, and the decisions that are under way.

Everything happens on one event loop, and each method is one step. What pods hold is read from their annotations alone,
so a new process, or a new leader, arrives at the same picture.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

import attrs
import msgspec

from hami_core.family import NodeLock
from hami_core.fit import Fleet
from hami_core.inventory import Holding, NodeInventory, read_holding, read_inventory
from hami_core.kube.records import decode_object
from hami_core.model import Device, Placement, PodRequest
from hami_core.objects import NodeFacts, PodFacts
from hami_core.quota import NamespaceQuota, combine, read_quota
from hami_core.registry import Registry

LOCKS = tuple(lock for lock in NodeLock if lock is not NodeLock.NONE)


@attrs.define(kw_only=True)
class Flight:
    """A pod between filter and the watch event that shows it bound.

    Until `deadline_s` (monotonic) passes, bind may take what is reserved; None: bind has begun and only bind ends it.
    """

    request: PodRequest
    decision: str
    placement: Placement
    resource_version: str
    gang: bool = False
    deadline_s: float | None = None
    bound: bool = False


@attrs.frozen(kw_only=True)
class Unbound:
    """A pod whose annotations name a node that it was not bound to, and since when this process knows."""

    label: str
    since_s: float


@attrs.define(kw_only=True)
class Counts:
    """What was repaired or found, for the metrics."""

    expired: int = 0
    stale: int = 0
    locks_cleared: int = 0
    drift: int = 0
    unreadable: int = 0


class Cache:
    """The fleet and what is known beside it.

    Args:
        registry: the families.
        clock: seconds that never go back.
    """

    def __init__(self, registry: Registry, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.registry = registry
        self.fleet = Fleet(registry)
        self.clock = clock
        self.flights: dict[str, Flight] = {}
        self.unbound: dict[str, Unbound] = {}
        self.placed: dict[str, PodFacts] = {}
        self.inventories: dict[str, NodeInventory] = {}
        self.locks: dict[str, dict[str, str]] = {}
        self.quotas: dict[tuple[str, str], NamespaceQuota] = {}
        self.resizing: set[str] = set()
        self.counts = Counts()
        self.problems: dict[str, tuple[str, ...]] = {}

    # ---- nodes -----------------------------------------------------------------------------------------------------

    def put_node(self, node: NodeFacts) -> None:
        """A node is there, new or changed."""
        held = {str(key): node.annotations[key] for key in LOCKS if node.annotations.get(key)}
        if held:
            self.locks[node.name] = held
        else:
            self.locks.pop(node.name, None)
        known = self.inventories.get(node.name)
        if known is not None and known.node == node:
            return
        found = read_inventory(node, self.registry)
        self.inventories[node.name] = found
        self._note(f"node {node.name}", found.broken.values())
        self.fleet.upsert_node(node, found.devices, broken=found.broken)

    def drop_node(self, name: str) -> None:
        """A node is gone. What pods hold there is kept, in case it comes back."""
        if self.inventories.pop(name, None) is not None:
            self.fleet.remove_node(name)
        self.locks.pop(name, None)
        self.problems.pop(f"node {name}", None)

    def devices(self, node: str) -> Mapping[str, Device]:
        """The node's devices by uuid."""
        found = self.inventories.get(node)
        return {} if found is None else {device.uuid: device for device in found.devices}

    # ---- pods ------------------------------------------------------------------------------------------------------

    def put_pod(self, pod: PodFacts) -> None:
        """A pod is there, new or changed."""
        key = pod.key
        if key in self.flights and not pod.finished:
            # An event from before our own write says less than we know; the one that shows the binding says it all.
            if not pod.node_name:
                return
            del self.flights[key]
        elif key in self.resizing and not pod.finished:
            return  # the larger of two sizes is counted until the answer to our patch says which one holds
        elif self.placed.get(key) == pod:
            return  # a change of something that is not read here
        self.book(pod)

    def book(self, pod: PodFacts) -> None:
        """Count what a pod's annotations say, in place of what was counted."""
        key = pod.key
        holding = read_holding(pod, self.registry)
        if holding is None or not holding.placement.families:
            self.drop_pod(pod)
            return
        self._note(f"pod {key}", holding.problems)
        self.fleet.add_pod(key, holding.placement, init_done=holding.init_done, label=holding.label)
        self.placed[key] = pod
        if pod.node_name:
            self.unbound.pop(key, None)
        else:
            self.unbound.setdefault(key, Unbound(label=holding.label, since_s=self.clock()))

    @contextlib.contextmanager
    def resize(self, key: str, peak: Placement, before: Holding) -> Iterator[None]:
        """Count `peak` for a pod while its size is being written; at the end, unless settled, what was counted before.

        Raises:
            BadQuantity: `peak` takes more of a card than any card has.
        """
        self.fleet.add_pod(key, peak, init_done=before.init_done, label=before.label)
        self.resizing.add(key)
        try:
            yield
        finally:
            if key in self.resizing:
                self.resizing.discard(key)
                pod = self.placed.get(key)
                if pod is None:
                    self.fleet.remove_pod(key)
                else:
                    self.book(pod)

    def settle_resize(self, pod: PodFacts) -> None:
        """The size that was written is the pod's; as its annotations say."""
        if pod.key in self.resizing:
            self.resizing.discard(pod.key)
            self.book(pod)

    def drop_pod(self, pod: PodFacts) -> None:
        """A pod is gone, or holds nothing."""
        self.forget(pod.key)

    def forget(self, key: str) -> None:
        """Give back whatever a pod holds or has reserved."""
        self.flights.pop(key, None)
        self.resizing.discard(key)
        self.unbound.pop(key, None)
        self.problems.pop(f"pod {key}", None)
        self.placed.pop(key, None)
        self.fleet.remove_pod(key)

    # ---- quotas ----------------------------------------------------------------------------------------------------

    def put_quota(self, quota: NamespaceQuota) -> None:
        """A resource quota is there, new or changed."""
        self.quotas[quota.namespace, quota.name] = quota
        self._note(f"quota {quota.namespace}/{quota.name}", quota.problems)
        self._set_quota(quota.namespace)

    def drop_quota(self, quota: NamespaceQuota) -> None:
        """A resource quota is gone."""
        self.quotas.pop((quota.namespace, quota.name), None)
        self.problems.pop(f"quota {quota.namespace}/{quota.name}", None)
        self._set_quota(quota.namespace)

    def _set_quota(self, namespace: str) -> None:
        mine = [quota for (where, _), quota in self.quotas.items() if where == namespace]
        self.fleet.set_quota(namespace, combine(mine).get(namespace, {}))

    @property
    def binding(self) -> bool:
        """Whether a bind is being carried out."""
        return any(flight.deadline_s is None and not flight.bound for flight in self.flights.values())

    # ---- time ------------------------------------------------------------------------------------------------------

    def expire(self) -> list[str]:
        """Give back what was reserved and never bound; returns the keys."""
        now_s = self.clock()
        due = [
            key for key, flight in self.flights.items() if flight.deadline_s is not None and flight.deadline_s <= now_s
        ]
        for key in due:
            self._restore(key)
        self.counts.expired += len(due)
        return due

    def drop_stale(self, stale_s: float) -> list[str]:
        """Give back what annotations of pods say that were never bound; returns the pods' labels."""
        before_s = self.clock() - stale_s
        due = [
            (key, pod.label) for key, pod in self.unbound.items() if pod.since_s <= before_s and key not in self.flights
        ]
        for key, _label in due:
            self.forget(key)
        self.counts.stale += len(due)
        return [label for _key, label in due]

    def _restore(self, key: str) -> None:
        """End a flight; what the pod's annotations say counts again, as it did before."""
        self.flights.pop(key, None)
        self.fleet.remove_pod(key)
        pod = self.placed.get(key)
        if pod is not None:
            self.book(pod)

    def land(self, key: str) -> None:
        """End a flight that failed."""
        self._restore(key)

    def _note(self, what: str, problems: Iterable[str]) -> None:
        found = tuple(problems)
        if found:
            self.counts.unreadable += 1
            self.problems[what] = found
        else:
            self.problems.pop(what, None)


class NodeSink:
    """Puts nodes into the cache."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self._seen: set[str] = set()

    def begin(self) -> None:
        """A full list follows."""
        self._seen = set()

    def put(self, item: NodeFacts) -> None:
        """A node is there."""
        self._seen.add(item.name)
        self.cache.put_node(item)

    def gone(self, item: NodeFacts) -> None:
        """A node is gone."""
        self.cache.drop_node(item.name)

    def end(self) -> None:
        """Nodes that the list did not have are gone."""
        for name in self.cache.inventories.keys() - self._seen:
            self.cache.drop_node(name)
        self._seen = set()


class PodSink:
    """Puts pods into the cache. `watchers` hear of every pod too."""

    def __init__(self, cache: Cache, *watchers: Callable[[PodFacts], None]) -> None:
        self.cache = cache
        self._watchers = watchers
        self._seen: set[str] = set()

    def begin(self) -> None:
        """A full list follows."""
        self._seen = set()

    def put(self, item: PodFacts) -> None:
        """A pod is there."""
        self._seen.add(item.key)
        self.cache.put_pod(item)
        for watcher in self._watchers:
            watcher(item)

    def gone(self, item: PodFacts) -> None:
        """A pod is gone."""
        self.cache.drop_pod(item)
        for watcher in self._watchers:
            watcher(attrs.evolve(item, deleting=True))

    def end(self) -> None:
        """Pods that the list did not have are gone; those in flight end by their own deadline."""
        for key in self.cache.placed.keys() - self._seen - self.cache.flights.keys():
            self.cache.forget(key)
        self._seen = set()


class QuotaSink:
    """Puts resource quotas into the cache."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self._seen: set[tuple[str, str]] = set()

    def begin(self) -> None:
        """A full list follows."""
        self._seen = set()

    def put(self, item: NamespaceQuota) -> None:
        """A quota is there."""
        self._seen.add((item.namespace, item.name))
        self.cache.put_quota(item)

    def gone(self, item: NamespaceQuota) -> None:
        """A quota is gone."""
        self.cache.drop_quota(item)

    def end(self) -> None:
        """Quotas that the list did not have are gone."""
        for place in self.cache.quotas.keys() - self._seen:
            self.cache.drop_quota(self.cache.quotas[place])
        self._seen = set()


def quota_decoder(registry: Registry) -> Callable[[bytes | msgspec.Raw], NamespaceQuota]:
    """A reader of resource quotas."""

    def decode(data: bytes | msgspec.Raw) -> NamespaceQuota:
        return read_quota(decode_object(data), registry)

    return decode
