"""Whatever happens, in whatever order: the columns are what the nodes and the pods say, worked out from nothing."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.fit.kit import FAMILIES, PLAIN, ask, pod

from hami_core.fit import Fleet
from hami_core.fit.columns import Block
from hami_core.model import Placement
from hami_core.testing.strategies import Node, nodes, placements, placements_that_disagree, pod_requests

PROBES = (
    pod(ask(1000, cores=10), name="probe-0"),
    pod(ask(percent=30, count=2), name="probe-1", node_policy="spread", device_policy="binpack"),
)
NAMES = ("node-0", "node-1", "node-2")


class Cluster(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.fleet = Fleet(PLAIN)
        self.nodes: dict[str, Node] = {}
        self.confirmed: dict[str, tuple[Placement, bool]] = {}
        self.reserved: dict[str, tuple[Placement, float]] = {}
        self.now_s = 0.0
        self.number = 0

    @initialize(data=st.data())
    def start(self, data: st.DataObject) -> None:
        for name in NAMES[:2]:
            self.node_reports(data, name)

    @rule(data=st.data(), name=st.sampled_from(NAMES))
    def node_reports(self, data: st.DataObject, name: str) -> None:
        """A node appears, grows, shrinks, or its cards change their health."""
        node = data.draw(nodes(name=name, families=FAMILIES))
        self.nodes[name] = node
        self.fleet.upsert_node(node.facts, node.devices)

    @precondition(lambda self: self.nodes)
    @rule(data=st.data())
    def node_goes(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.nodes)))
        del self.nodes[name]
        self.fleet.remove_node(name)

    @rule(data=st.data())
    def pod_reserves(self, data: st.DataObject) -> None:
        self.number += 1
        wanted = data.draw(pod_requests(families=FAMILIES, name=f"pod-{self.number % 4}"))
        choice, reservation = self.fleet.reserve(wanted, now_s=self.now_s, hold_s=10.0)
        if reservation is None:
            assert choice.best is None
            self.reserved.pop(wanted.key, None)
            return
        self.confirmed.pop(wanted.key, None)
        self.reserved[wanted.key] = reservation.best.placement, self.now_s + 10.0

    @precondition(lambda self: self.reserved)
    @rule(data=st.data())
    def reservation_is_confirmed(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.reserved)))
        self.fleet.confirm(key)
        self.confirmed[key] = self.reserved.pop(key)[0], False

    @precondition(lambda self: self.reserved)
    @rule(data=st.data())
    def reservation_is_released(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.reserved)))
        assert self.fleet.release(key)
        del self.reserved[key]

    @rule(seconds=st.sampled_from([1.0, 6.0, 20.0]))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds
        due = sorted(key for key, (_placement, deadline_s) in self.reserved.items() if deadline_s <= self.now_s)
        assert self.fleet.expire(self.now_s) == tuple(due)
        for key in due:
            del self.reserved[key]

    @precondition(lambda self: any(node.devices for node in self.nodes.values()))
    @rule(data=st.data(), key=st.sampled_from(["default/seen", "team-a/seen", "team-a/pod-1"]), ended=st.booleans())
    def pod_is_seen_with_annotations(self, data: st.DataObject, key: str, ended: bool) -> None:
        """Annotations are believed, also where they name cards that are not there or more than there is."""
        node = self.nodes[data.draw(st.sampled_from(sorted(n for n, node in self.nodes.items() if node.devices)))]
        sound = placements(node)
        placement = data.draw(st.one_of(sound, placements_that_disagree(node, FAMILIES[0])))
        self.fleet.add_pod(key, placement, init_done=ended)
        self.reserved.pop(key, None)
        self.confirmed[key] = placement, ended

    @precondition(lambda self: self.confirmed)
    @rule(data=st.data())
    def pod_goes(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.confirmed)))
        assert self.fleet.remove_pod(key)
        del self.confirmed[key]
        assert not self.fleet.remove_pod(key)

    @rule()
    def restarts(self) -> None:
        """A new process reads nodes and annotations; reservations, which live in memory only, are gone."""
        self.reserved.clear()
        self.fleet = self.rebuilt()

    def rebuilt(self) -> Fleet:
        fleet = Fleet(PLAIN)
        for key, (placement, ended) in self.confirmed.items():
            fleet.add_pod(key, placement, init_done=ended)
        for node in reversed(self.nodes.values()):
            fleet.upsert_node(node.facts, node.devices)
        for key, (placement, _deadline_s) in self.reserved.items():
            fleet.add_pod(key, placement)
        return fleet

    @invariant()
    def columns_are_what_nodes_and_pods_say(self) -> None:
        fresh = self.rebuilt()
        assert fresh.nodes == self.fleet.nodes == tuple(sorted(self.nodes))
        for name in self.nodes:
            assert columns_of(fresh, name) == columns_of(self.fleet, name)
            assert fresh.uses(name) == self.fleet.uses(name)
        assert fresh.strays() == self.fleet.strays()

    @invariant()
    def decisions_are_those_of_a_fleet_built_from_nothing(self) -> None:
        fresh = self.rebuilt()
        for probe in PROBES:
            here, there = self.fleet.decide(probe), fresh.decide(probe)
            assert here.best == there.best
            assert here.verdicts() == there.verdicts()


def columns_of(fleet: Fleet, node: str) -> dict[str, object]:
    """The raw numbers kept for a node."""
    state = fleet._state
    record = state._nodes[node]
    numbers: dict[str, object] = {
        name: int(getattr(state.totals, name)[record.row])
        for name in state.totals._NAMES
        if name not in ("stamps", "ranks")
    }
    for family, cards in record.families.items():
        for name in Block._NAMES:
            if name != "kinds":
                numbers[f"{family}.{name}"] = getattr(cards.block, name)[:, cards.column].tolist()
        assert cards.block.rows[cards.column] == record.row
        assert cards.column < cards.block.size
    assert state.totals._names[state.totals.ranks[record.row]] == node
    assert np.all(np.diff(np.sort(state.totals.ranks[state.totals.ranks >= 0])) == 1)
    return numbers


TestCluster = Cluster.TestCase
