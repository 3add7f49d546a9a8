"""The fleet and who must hear of its changes: the state behind the service, without any gRPC.

For one thread: the service calls it from its event loop only, so each method is one step for every caller.
"""

from __future__ import annotations

import enum
import heapq
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import attrs

from hami_core.errors import ReservationConflict, UnknownName
from hami_core.fit import Choice, Fleet, Reservation
from hami_core.inventory import NodeInventory
from hami_core.model import Placement, PodRequest
from hami_core.rpc.feed import Feed, Subscription

_SPARE_DEADLINES = 64


class Gone(enum.Enum):
    """Why a pod holds nothing any more."""

    REMOVED = "removed"
    RELEASED = "released"
    EXPIRED = "expired"


@attrs.frozen(kw_only=True)
class Entry:
    """What a pod holds. `deadline_s` is on the book's clock; None: placed for good."""

    placement: Placement
    deadline_s: float | None = None


@attrs.frozen(kw_only=True)
class Change:
    """One pod's new state, numbered. `now` is its entry, or why there is none any more."""

    sequence: int
    key: str
    now: Entry | Gone


class Book:
    """What pods hold, with deadlines and watchers.

    Args:
        fleet: the engine, owned by the book from now on.
        clock: seconds that never go back; reservations are timed by it.
        watch_limit: how many changes may wait for one watcher.
    """

    def __init__(self, fleet: Fleet, *, clock: Callable[[], float] = time.monotonic, watch_limit: int) -> None:
        self.fleet = fleet
        self.clock = clock
        self._feed: Feed[Change] = Feed(limit=watch_limit)
        self._entries: dict[str, Entry] = {}
        # A heap. An entry whose deadline changed since is skipped when it comes up.
        self._deadlines: list[tuple[float, str]] = []
        self._sequence = 0

    def upsert_node(self, found: NodeInventory) -> None:
        """State what devices a node has."""
        self.fleet.upsert_node(found.node, found.devices, broken=found.broken)

    def remove_node(self, name: str) -> None:
        """Forget a node."""
        self.fleet.remove_node(name)

    def add_pod(self, key: str, placement: Placement, *, init_done: bool, label: str) -> Sequence[str]:
        """State what a pod holds, over what was known or reserved; the cards that its node is not known to have."""
        self.fleet.add_pod(key, placement, init_done=init_done, label=label)
        self._set(key, Entry(placement=placement))
        return self._unknown_uuids(placement)

    def holds(self, key: str) -> bool:
        """Whether a pod holds anything, reserved or placed."""
        return key in self._entries

    def remove_pod(self, key: str) -> bool:
        """Free what a pod holds; whether it held anything."""
        return self.fleet.remove_pod(key) and self._drop(key, Gone.REMOVED)

    def set_quota(self, namespace: str, limits: Mapping[str, int]) -> None:
        """Set a namespace's quota."""
        self.fleet.set_quota(namespace, limits)

    def decide(self, pod: PodRequest, nodes: Sequence[str] | None) -> Choice:
        """Say where a pod would go."""
        self.expire()
        return self.fleet.decide(pod, nodes)

    def reserve(self, pod: PodRequest, nodes: Sequence[str] | None, hold_s: float) -> Reservation | None:
        """Decide and take the share, in place of an earlier reservation of the pod. None: it fits nowhere.

        Raises:
            ReservationConflict: the pod is placed: a reservation would free, at its deadline, what runs.
        """
        self.expire()
        earlier = self._entries.get(pod.key)
        if earlier is not None and earlier.deadline_s is None:
            where = earlier.placement.node
            raise ReservationConflict(f"pod {pod.key} is placed on node {where} already; RemovePod frees what it holds")
        _, reservation = self.fleet.reserve(pod, nodes, now_s=self.clock(), hold_s=hold_s)
        if reservation is None:
            self._drop(pod.key, Gone.RELEASED)
        else:
            self._set(pod.key, Entry(placement=reservation.best.placement, deadline_s=reservation.deadline_s))
            self._remind(pod.key, reservation.deadline_s)
        return reservation

    def confirm(self, key: str) -> None:
        """Make a reservation a placement. A pod that is placed already stays as it is.

        Raises:
            UnknownName: there is neither.
        """
        self.expire()
        self.fleet.confirm(key)
        if self._entries[key].deadline_s is not None:
            self._set(key, attrs.evolve(self._entries[key], deadline_s=None))

    def release(self, key: str) -> bool:
        """Give a reservation back; whether there was one. A placement is not touched."""
        self.expire()
        return self.fleet.release(key) and self._drop(key, Gone.RELEASED)

    def expire(self) -> None:
        """Give back what is past its deadline."""
        due_s, now_s = self.next_deadline_s, self.clock()
        if due_s is not None and due_s <= now_s:
            for key in self.fleet.expire(now_s):
                self._drop(key, Gone.EXPIRED)

    @property
    def next_deadline_s(self) -> float | None:
        """When the next reservation ends, on the book's clock; None where there is none."""
        while self._deadlines:
            deadline_s, key = self._deadlines[0]
            entry = self._entries.get(key)
            if entry is not None and entry.deadline_s == deadline_s:
                return deadline_s
            heapq.heappop(self._deadlines)
        return None

    @contextmanager
    def watch(self) -> Iterator[tuple[Sequence[Change], int, Subscription[Change]]]:
        """The present state, the number of the last change in it, and every change after that."""
        self.expire()
        present = [Change(sequence=self._sequence, key=key, now=entry) for key, entry in self._entries.items()]
        with self._feed.subscribe() as subscription:
            yield present, self._sequence, subscription

    def close(self) -> None:
        """End all watches."""
        self._feed.close()

    def _remind(self, key: str, deadline_s: float) -> None:
        heapq.heappush(self._deadlines, (deadline_s, key))
        if len(self._deadlines) > _SPARE_DEADLINES + 2 * len(self._entries):
            # Mostly of reservations that were confirmed long before a far deadline: they would never come up.
            live = self._entries.items()
            self._deadlines = [(entry.deadline_s, key) for key, entry in live if entry.deadline_s is not None]
            heapq.heapify(self._deadlines)

    def _unknown_uuids(self, placement: Placement) -> Sequence[str]:
        try:
            known = {(use.device.family, use.device.uuid) for use in self.fleet.uses(placement.node)}
        except UnknownName:
            known = set()
        named = {
            (family, share.uuid)
            for container in placement.containers
            for family, shares in container.shares.items()
            for share in shares
        }
        return sorted({uuid for _family, uuid in named - known})

    def _set(self, key: str, entry: Entry) -> None:
        self._entries[key] = entry
        self._publish(key, entry)

    def _drop(self, key: str, cause: Gone) -> bool:
        if self._entries.pop(key, None) is None:
            return False
        self._publish(key, cause)
        return True

    def _publish(self, key: str, now: Entry | Gone) -> None:
        self._sequence += 1
        self._feed.publish(Change(sequence=self._sequence, key=key, now=now))
