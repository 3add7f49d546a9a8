"""The book agrees with the engine, and who replays its changes knows what it knows."""

from __future__ import annotations

import asyncio

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.rpc.world import CARD_MIB, Clock, acme_registry

from hami_core.errors import ReservationConflict, UnknownName
from hami_core.fit import Fleet
from hami_core.inventory import NodeInventory
from hami_core.model import (
    ContainerRequest,
    ContainerShares,
    Device,
    DeviceRequest,
    DeviceShare,
    Placement,
    PodRequest,
)
from hami_core.objects import NodeFacts
from hami_core.rpc.book import Book, Change, Entry, Gone

REGISTRY = acme_registry()
NAMES = st.sampled_from(["p", "q", "r", "s"])
NODES = st.sampled_from(["a", "b"])
AMOUNTS = st.sampled_from([300, 600, 1000])


def request(name: str, memory_mib: int) -> PodRequest:
    asked = DeviceRequest(family="ACME", count=1, memory_mib=memory_mib)
    return PodRequest(namespace="team-a", name=name, containers=(ContainerRequest(name="main", devices=(asked,)),))


def test_deadlines_of_confirmed_reservations_are_forgotten_and_the_others_come_in_order() -> None:
    clock = Clock()
    book = Book(Fleet(REGISTRY), clock=clock, watch_limit=1)
    card = Device(uuid="a-0", family="ACME", model="big", memory_mib=CARD_MIB, slots=10)
    book.upsert_node(NodeInventory(node=NodeFacts(name="a"), devices=(card,)))
    for name, hold_s in (("third", 30.0), ("first", 10.0), ("second", 20.0)):
        assert book.reserve(request(name, 100), None, hold_s) is not None
    for _ in range(1000):
        book.reserve(request("p", 100), None, 86_400.0)
        book.confirm("team-a/p")
        book.remove_pod("team-a/p")
    assert len(book._deadlines) <= 100
    for name in ("first", "second", "third"):
        due_s = book.next_deadline_s
        assert due_s is not None
        clock.now_s = due_s
        book.expire()
        assert not book.holds(f"team-a/{name}")
    assert book.next_deadline_s is None


class BookMachine(RuleBasedStateMachine):
    """Clients do anything in any order; a watcher has been there from the start."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.book = Book(Fleet(REGISTRY), clock=self.clock, watch_limit=1000)
        self.watching = self.book.watch()
        _, _, self.subscription = self.watching.__enter__()
        self.replayed: dict[str, Entry] = {}
        self.sequence = 0

    def teardown(self) -> None:
        self.watching.__exit__(None, None, None)

    @rule(node=NODES, cards=st.integers(0, 2))
    def state_a_node(self, node: str, cards: int) -> None:
        devices = tuple(
            Device(uuid=f"{node}-{at}", family="ACME", model="big", index=at, memory_mib=CARD_MIB, slots=3)
            for at in range(cards)
        )
        self.book.upsert_node(NodeInventory(node=NodeFacts(name=node), devices=devices))

    @rule(node=NODES)
    def remove_a_node(self, node: str) -> None:
        if node in self.book.fleet.nodes:
            self.book.remove_node(node)

    @rule(name=NAMES, memory_mib=AMOUNTS, hold_s=st.sampled_from([1.0, 5.0, 60.0]))
    def reserve(self, name: str, memory_mib: int, hold_s: float) -> None:
        pod = request(name, memory_mib)
        placed = pod.key in self.replayed and self.replayed[pod.key].deadline_s is None
        try:
            held = self.book.reserve(pod, None, hold_s)
        except ReservationConflict:
            assert placed
        else:
            assert not placed
            assert (held is None) == (self.book.decide(pod, None).best is None)

    @rule(name=NAMES)
    def confirm(self, name: str) -> None:
        key = f"team-a/{name}"
        self.book.expire()
        held = self.book.holds(key)
        try:
            self.book.confirm(key)
        except UnknownName:
            assert not held
        else:
            assert held

    @rule(name=NAMES)
    def release(self, name: str) -> None:
        self.book.release(f"team-a/{name}")

    @rule(name=NAMES, node=NODES, memory_mib=AMOUNTS)
    def state_a_pod(self, name: str, node: str, memory_mib: int) -> None:
        share = DeviceShare(uuid=f"{node}-0", memory_mib=memory_mib)
        placement = Placement(node=node, containers=(ContainerShares(name="main", shares={"ACME": (share,)}),))
        key = f"team-a/{name}"
        unknown = self.book.add_pod(key, placement, init_done=False, label=key)
        assert list(unknown) in ([], [share.uuid])

    @rule(name=NAMES)
    def remove_a_pod(self, name: str) -> None:
        key = f"team-a/{name}"
        held = self.book.holds(key)
        assert self.book.remove_pod(key) is held
        assert not self.book.holds(key)

    @rule(seconds=st.sampled_from([0.5, 1.0, 10.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now_s += seconds
        self.book.expire()

    @invariant()
    def a_replay_of_the_changes_is_the_present_state(self) -> None:
        for change in asyncio.run(self.queued()):
            assert change.sequence == self.sequence + 1
            self.sequence = change.sequence
            if isinstance(change.now, Gone):
                del self.replayed[change.key]
            else:
                self.replayed[change.key] = change.now
        with self.book.watch() as (present, sequence, _):
            assert {change.key: change.now for change in present} == self.replayed
            assert sequence == self.sequence

    async def queued(self) -> list[Change]:
        """The changes that wait for the watcher: a mark behind them says where they end."""
        end = Change(sequence=-1, key="end", now=Gone.REMOVED)
        self.subscription.put(end)
        found = []
        async for change in self.subscription.items():
            if change is end:
                break
            found.append(change)
        return found

    @invariant()
    def the_engine_holds_what_the_book_says_and_nothing_is_past_its_deadline(self) -> None:
        for name in ("p", "q", "r", "s"):
            key = f"team-a/{name}"
            held, entry = self.book.fleet.holding(key), self.replayed.get(key)
            assert (held and held.placement) == (entry and entry.placement)
            if entry is not None and entry.deadline_s is not None:
                assert entry.deadline_s > self.clock.now_s
        deadlines = [entry.deadline_s for entry in self.replayed.values() if entry.deadline_s is not None]
        assert self.book.next_deadline_s == min(deadlines, default=None)


TestBook = BookMachine.TestCase
TestBook.settings = settings(deadline=None, stateful_step_count=30)
