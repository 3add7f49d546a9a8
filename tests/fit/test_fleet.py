"""The fleet's own promises: what it knows, what it keeps, and reservations."""

from __future__ import annotations

import threading

import pytest
from tests.fit.kit import PLAIN, ask, card, family, fleet, held, pod, registry, uuids

from hami_core.errors import BadQuantity, UnknownName
from hami_core.fit import Fleet
from hami_core.model import ContainerShares, DeviceShare, Partition, PartitionPlacement, Placement, Selector
from hami_core.objects import NodeFacts
from hami_core.verdict import Broken, Fits


def texts(made: Fleet, wanted: object, nodes: list[str] | None = None) -> dict[str, str]:
    return {name: str(verdict) for name, verdict in made.decide(wanted, nodes).verdicts().items()}


# ---- what is known -------------------------------------------------------------------------------------------------


def test_unknown_nodes_and_nodes_without_cards_are_unregistered() -> None:
    made = fleet(card())
    made.upsert_node(NodeFacts(name="cpu"), [])
    verdicts = texts(made, pod(ask()), ["cpu", "nowhere", "node-a"])
    assert verdicts == {"cpu": "node unregistered", "node-a": "fits, score 0", "nowhere": "node unregistered"}


def test_a_node_whose_data_for_an_asked_family_is_malformed_is_broken_for_that_family_only() -> None:
    made = fleet(card())
    made.upsert_node(NodeFacts(name="bad"), [card("gpu-1")], broken={"NPU": "register: field 3: not a number"})
    made.upsert_node(NodeFacts(name="worse"), [], broken={"GPU": "register: no colon"})
    choice = made.decide(pod(ask()))
    assert isinstance(choice.verdict("bad"), Fits)
    assert choice.verdict("worse") == Broken(problem="register: no colon", plugin="Plugin")
    assert choice.best is not None
    assert made.decide(pod(ask(family="NPU"))).verdict("bad") == Broken(
        problem="register: field 3: not a number", plugin="Plugin"
    )


def test_two_cards_with_one_uuid_break_the_family_on_that_node() -> None:
    made = fleet(card(), card(index=1), card("npu-0", family="NPU"))
    assert texts(made, pod(ask())) == {"node-a": "GPU: two cards have the uuid gpu-0"}
    assert made.decide(pod(ask(family="NPU"))).best is not None


def test_amounts_that_cannot_be_are_refused_before_anything_changes() -> None:
    made = fleet(card())
    made.upsert_node(NodeFacts(name="node-b"), [card("gpu-b", memory_mib=2**60)])
    assert texts(made, pod(ask()), ["node-b"]) == {
        "node-b": f"GPU: card gpu-b says it has {2**60} of something; at most {2**40} can be"
    }
    with pytest.raises(BadQuantity, match="pod team-a/odd: share of GPU gpu-0 must be at most"):
        made.add_pod("uid-1", held(gpu_0=(2**62, 0)), label="team-a/odd")
    assert made.holding("uid-1") is None
    assert made.decide(pod(ask(2**63 + 1))).best is None
    assert made.uses("node-a")[0].slots_used == 0


def test_cordoned_cards_are_passed_over_for_every_family() -> None:
    made = Fleet(PLAIN)
    facts = NodeFacts(name="node-a", annotations={"hami.io/device-cordon": "npu-0, gpu-1"})
    made.upsert_node(facts, [card(), card("gpu-1", index=1), card("npu-0", family="NPU")])
    assert texts(made, pod(ask(family="NPU"))) == {"node-a": "1/1 CardCordoned"}
    best = made.decide(pod(ask())).best
    assert best is not None
    assert uuids(best.placement) == [["gpu-0"]]


def test_only_the_candidates_are_considered() -> None:
    made = fleet(card())
    made.upsert_node(NodeFacts(name="node-b"), [card("gpu-1")])
    choice = made.decide(pod(ask()), ["node-b"])
    assert choice.best is not None
    assert (choice.best.placement.node, list(choice.verdicts())) == ("node-b", ["node-b"])
    assert made.decide(pod(ask()), []).best is None


def test_a_node_says_what_is_used_and_an_unknown_one_is_an_error() -> None:
    assert [use.device.uuid for use in fleet(card()).uses("node-a")] == ["gpu-0"]
    with pytest.raises(UnknownName, match='no node named "node-z"'):
        fleet().uses("node-z")


def test_a_fleet_without_a_registry_serves_the_installed_plugins() -> None:
    assert ("device", "binpack") in Fleet().registry.policies


def test_equal_nodes_are_taken_by_name() -> None:
    made = Fleet(PLAIN)
    for name in ("c", "a", "b"):
        made.upsert_node(NodeFacts(name=name), [card(f"gpu-{name}")])
    for policy in ("binpack", "spread"):
        best = made.decide(pod(ask(), node_policy=policy)).best
        assert best is not None
        assert best.placement.node == "a"


def test_a_removed_node_is_unknown_and_its_row_serves_the_next_one() -> None:
    made = Fleet(PLAIN)
    for name in ("a", "b", "c"):
        made.upsert_node(NodeFacts(name=name), [card(f"gpu-{name}")])
    made.decide(pod(ask()))
    made.remove_node("a")
    made.upsert_node(NodeFacts(name="d"), [card("gpu-d", healthy=False)])
    assert made.nodes == ("b", "c", "d")
    assert texts(made, pod(ask())) == {"b": "fits, score 0", "c": "fits, score 0", "d": "1/1 CardNotHealth"}
    assert texts(made, pod(ask()), ["a"]) == {"a": "node unregistered"}
    with pytest.raises(UnknownName, match='no node named "a"'):
        made.remove_node("a")


def test_a_fleet_grows_past_any_first_size() -> None:
    made = Fleet(PLAIN)
    for number in range(200):
        made.upsert_node(NodeFacts(name=f"node-{number:03}"), [card(f"gpu-{number}", memory_mib=number)])
    best = made.decide(pod(ask(199))).best
    assert best is not None
    assert best.placement.node == "node-199"


def test_cards_are_found_by_uuid_on_every_node_that_has_it_and_no_other() -> None:
    made = Fleet(PLAIN)
    for name in ("a", "b", "c"):
        made.upsert_node(NodeFacts(name=name), [card("shared" if name != "c" else "own")])
    wanted = pod(ask(), selectors={"GPU": Selector(allow_uuids=("shared",))})
    for name in ("a", "b"):
        best = made.decide(wanted).best
        assert best is not None
        assert best.placement.node == name
        made.remove_node(name)
    assert made.decide(wanted).best is None


def test_a_report_that_says_nothing_new_changes_nothing() -> None:
    made = fleet(card(), card("npu-0", family="NPU"))
    made.add_pod("uid-1", held(gpu_0=(10, 0)))
    before = made._state.totals.clock
    made.upsert_node(NodeFacts(name="node-a"), [card("npu-0", family="NPU"), card()])
    assert made._state.totals.clock == before
    made.upsert_node(NodeFacts(name="node-a", annotations={"hami.io/device-cordon": "gpu-0"}), [card()])
    assert [use.cordoned for use in made.uses("node-a")] == [True]


# ---- what pods hold ------------------------------------------------------------------------------------------------


def test_pods_seen_before_their_node_count_once_it_appears() -> None:
    made = Fleet(PLAIN)
    made.add_pod("uid-1", held(gpu_0=(40_000, 30)), label="team-a/train")
    assert [(stray.node, stray.uuid, stray.label) for stray in made.strays()] == [("node-a", "gpu-0", "team-a/train")]
    made.upsert_node(NodeFacts(name="node-a"), [card()])
    assert made.strays() == ()
    assert made.uses("node-a")[0].memory_used_mib == 40_000


def test_what_pods_hold_survives_their_node_going_away_and_coming_back() -> None:
    made = fleet(card())
    made.add_pod("uid-1", held(gpu_0=(40_000, 30)))
    made.remove_node("node-a")
    made.upsert_node(NodeFacts(name="node-a"), [card(memory_mib=20_000)])
    (use,) = made.uses("node-a")
    assert (use.memory_used_mib, use.memory_free_mib) == (40_000, 0)
    assert made.remove_pod("uid-1")
    assert made.uses("node-a")[0].memory_used_mib == 0


def test_a_share_of_an_unknown_card_is_kept_reported_and_never_given_back_twice() -> None:
    made = fleet(card())
    made.add_pod("uid-1", held(gpu_0=(10, 0), gpu_9=(10, 0)))
    assert [stray.uuid for stray in made.strays()] == ["gpu-9"]
    assert made.remove_pod("uid-1")
    assert not made.remove_pod("uid-1")
    assert [(use.slots_used, use.memory_used_mib) for use in made.uses("node-a")] == [(0, 0)]


def test_adding_a_pod_again_replaces_what_it_held() -> None:
    made = fleet(card(), card("gpu-1", index=1))
    made.add_pod("uid-1", held(gpu_0=(10, 0)))
    made.add_pod("uid-1", held(gpu_1=(20, 0)))
    assert [use.memory_used_mib for use in made.uses("node-a")] == [0, 20]
    assert [held.key for held in made.holders("node-a", "gpu-1")] == ["uid-1"]
    assert made.holders("node-a", "gpu-0") == ()


def test_what_a_pod_holds_itself_counts_as_free_for_it() -> None:
    made = fleet(card(memory_mib=1000))
    wanted = pod(ask(900))
    made.add_pod(wanted.key, held(gpu_0=(900, 0)))
    assert made.decide(wanted).best is not None
    assert made.decide(pod(ask(900), name="other")).best is None
    assert made.uses("node-a")[0].memory_used_mib == 900


def test_a_partition_that_contradicts_its_card_puts_the_card_in_doubt() -> None:
    place = Partition(profile="half", placement=PartitionPlacement(start=0, size=4))

    def partition_of(uuid: str) -> Placement:
        share = DeviceShare(uuid=uuid, memory_mib=10, partition=place)
        return Placement(node="node-a", containers=(ContainerShares(name="c", shares={"GPU": (share,)}),))

    made = fleet(card("gpu-0", mode="mig"), card("gpu-1", index=1), card("gpu-2", index=2, mode="mig"))
    made.add_pod("without", held(gpu_0=(10, 0)))
    made.add_pod("with", partition_of("gpu-1"))
    assert [use.device.healthy for use in made.uses("node-a")] == [False, False, True]
    made.add_pod("lost", partition_of("gpu-9"))
    assert [use.device.healthy for use in made.uses("node-a")] == [False, False, False]
    assert made.decide(pod(ask())).best is None
    for key in ("lost", "with", "without"):
        made.remove_pod(key)
    assert all(use.device.healthy for use in made.uses("node-a"))


# ---- quotas --------------------------------------------------------------------------------------------------------


def test_a_namespace_quota_counts_what_its_pods_hold_and_what_this_pod_picks() -> None:
    made = fleet(*(card(f"gpu-{n}", index=n) for n in range(4)))
    made.set_quota("team-a", {"gpu.test/memory": 4000})
    made.add_pod("uid-1", held(gpu_0=(1000, 0)), label="team-a/first")
    made.add_pod("uid-2", held(gpu_0=(9000, 0)), label="team-b/other")
    assert made.decide(pod(ask(1000, count=3), namespace="team-a")).best is not None
    assert texts(made, pod(ask(1300, count=3), namespace="team-a")) == {
        "node-a": "2/4 AllocatedCardsInsufficientRequest, 2/4 ResourceQuotaNotFit"
    }
    assert made.decide(pod(ask(9000, count=3), namespace="team-b")).best is not None
    made.remove_pod("uid-1")
    assert made.decide(pod(ask(1300, count=3), namespace="team-a")).best is not None


def test_a_namespaces_limits_and_use_can_be_read() -> None:
    made = fleet(card(), card("npu-0", family="NPU"))
    made.set_quota("team-a", {"gpu.test/memory": 4000, "tpu.test/memory": 1})
    made.add_pod("uid-1", held(gpu_0=(1000, 30)), label="team-a/first")
    made.add_pod("uid-2", held(gpu_0=(500, 0)), label="team-a/second")
    limits, used = made.quota("team-a")
    assert limits == {"gpu.test/memory": 4000, "tpu.test/memory": 1}
    assert used == {"gpu.test/memory": 1500, "gpu.test/cores": 30}
    assert made.quota("team-b") == ({}, {})
    assert made.decide(pod(ask(family="NPU"), namespace="team-a")).best is not None
    assert str(made.decide(pod(ask(family="TPU"), namespace="team-a")).verdict("node-a")) == "Device type not found"


def test_a_quota_is_checked_against_the_memory_a_percentage_comes_to() -> None:
    made = fleet(card(memory_mib=10_000))
    made.set_quota("default", {"gpu.test/memory": 5000})
    assert made.decide(pod(ask(percent=50))).best is not None
    assert texts(made, pod(ask(percent=51))) == {"node-a": "1/1 ResourceQuotaNotFit"}


def test_a_quota_of_nothing_blocks_and_lifting_it_opens() -> None:
    made = fleet(card())
    made.set_quota("default", {"gpu.test/cores": 0})
    assert made.decide(pod(ask(cores=0))).best is not None
    assert made.decide(pod(ask(cores=1))).best is None
    made.set_quota("default", {})
    assert made.decide(pod(ask(cores=1))).best is not None


def test_a_quota_in_coarse_units_is_counted_in_mib() -> None:
    from hami_core.family import Units

    mlu = family("MLU", units=Units(memory_unit_mib=256))
    made = fleet(card(family="MLU", memory_mib=10_000), registry=registry(families=[mlu]))
    made.set_quota("default", {"mlu.test/memory": 4})
    assert made.decide(pod(ask(1024, family="MLU"))).best is not None
    assert made.decide(pod(ask(1025, family="MLU"))).best is None


# ---- reservations --------------------------------------------------------------------------------------------------


def test_a_reservation_holds_the_place_until_it_is_released() -> None:
    made = fleet(card(slots=1))
    first, second = pod(ask(), name="first"), pod(ask(), name="second")
    _choice, reservation = made.reserve(first, now_s=0.0)
    assert reservation is not None
    assert made.reserve(second, now_s=0.0)[1] is None
    assert made.release(first.key)
    assert not made.release(first.key)
    assert made.reserve(second, now_s=0.0)[1] is not None


def test_a_forgotten_reservation_expires_and_a_confirmed_one_does_not() -> None:
    made = fleet(card())
    for name in ("kept", "forgotten", "later"):
        made.reserve(pod(ask(), name=name), now_s=100.0, hold_s=10.0 if name != "later" else 20.0)
    made.confirm("default/kept")
    made.confirm("default/kept")
    assert made.expire(109.9) == ()
    assert made.expire(110.0) == ("default/forgotten",)
    assert made.uses("node-a")[0].slots_used == 2
    with pytest.raises(UnknownName, match="no reservation named"):
        made.confirm("default/forgotten")
    assert not made.release("default/kept")


def test_reserving_again_replaces_the_pods_own_reservation() -> None:
    made = fleet(card(slots=1))
    wanted = pod(ask())
    assert made.reserve(wanted, now_s=0.0)[1] is not None
    assert made.reserve(wanted, now_s=1.0)[1] is not None
    assert made.uses("node-a")[0].slots_used == 1
    made.upsert_node(NodeFacts(name="node-a"), [card(slots=1, healthy=False)])
    assert made.reserve(wanted, now_s=2.0)[1] is None
    assert made.holding(wanted.key) is None


def test_the_pods_real_placement_replaces_its_reservation() -> None:
    made = fleet(card())
    wanted = pod(ask(1000))
    made.reserve(wanted, now_s=0.0, hold_s=5.0)
    made.add_pod(wanted.key, held(gpu_0=(700, 0)))
    assert made.expire(10.0) == ()
    assert made.uses("node-a")[0].memory_used_mib == 700


def test_a_snapshot_does_not_see_what_happens_later() -> None:
    made = fleet(card(slots=1))
    picture = made.snapshot()
    made.reserve(pod(ask(), name="first"), now_s=0.0)
    made.upsert_node(NodeFacts(name="node-b"), [card("gpu-b")])
    assert picture.nodes == ("node-a",)
    assert picture.decide(pod(ask(), name="second")).best is not None
    assert picture.uses("node-a")[0].slots_used == 0


def test_two_threads_never_both_get_the_last_slot() -> None:
    """Many short races: each round has one free slot and two callers that start together."""
    rounds = 10_000
    made = fleet(card(slots=1))
    start, done = threading.Barrier(2), threading.Barrier(2)
    wins: list[list[str]] = [[] for _ in range(rounds)]

    def caller(name: str) -> None:
        wanted = pod(ask(), name=name)
        for number in range(rounds):
            start.wait()
            if made.reserve(wanted, now_s=0.0)[1] is not None:
                wins[number].append(name)
            done.wait()
            made.release(wanted.key)

    threads = [threading.Thread(target=caller, args=(name,)) for name in ("first", "second")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(len(winners) == 1 for winners in wins)
    assert made.uses("node-a")[0].slots_used == 0
