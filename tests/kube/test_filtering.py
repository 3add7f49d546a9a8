from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from tests.kube.loop import in_loop
from tests.kube.world import LOCK, Clock, Desk, ask, cache_of, node, placed, pod

from hami_core.kube.records import decode_pod
from hami_core.kube.settings import NodeChoice, Settings
from hami_core.wire.extender import encode
from hami_core.wire.node_lock import LockValue, encode_lock


@in_loop
async def test_filter_names_one_node_and_holds_its_share() -> None:
    desk = Desk(cache_of(node("n1"), node("n2")))
    first = await desk.filtering.filter(ask(pod("a"), "n1", "n2"))
    second = await desk.filtering.filter(ask(pod("b"), "n1", "n2"))
    third = await desk.filtering.filter(ask(pod("c"), "n1", "n2"))
    assert first.node_names is not None
    assert second.node_names is not None
    assert sorted(first.node_names + second.node_names) == ["n1", "n2"]
    assert third.node_names == []
    assert sorted(third.failed) == ["n1", "n2"]


@in_loop
async def test_a_reservation_that_nobody_binds_ends_at_its_deadline() -> None:
    clock = Clock()
    desk = Desk(cache_of(node("n1"), clock=clock))
    await desk.filtering.filter(ask(pod("a"), "n1"))
    clock.now_s += 59
    assert desk.cache.expire() == []
    clock.now_s += 2
    assert desk.cache.expire() == ["uid-a"]
    answer = await desk.filtering.filter(ask(pod("b"), "n1"))
    assert answer.node_names == ["n1"]


@in_loop
async def test_filtering_a_pod_again_replaces_its_reservation() -> None:
    desk = Desk(cache_of(node("n1")))
    for _ in range(5):
        assert (await desk.filtering.filter(ask(pod("a"), "n1"))).node_names == ["n1"]
    assert len(desk.cache.flights) == 1


@in_loop
async def test_preemption_is_offered_only_where_it_could_help() -> None:
    desk = Desk(cache_of(node("full"), node("small")))
    desk.cache.put_pod(decode_pod(json.dumps(placed("held", "GPU-full-0", "full", 9000)).encode()))
    typed = pod("a", 6000, annotations={"nvidia.com/use-gpuuuid": "GPU-full-0"})
    answer = await desk.filtering.filter(ask(typed, "full", "small", "unknown"))
    assert list(answer.failed) == ["full"]
    assert sorted(answer.unresolvable) == ["small", "unknown"]
    assert "CardInsufficientMemory" in answer.failed["full"]


@in_loop
async def test_a_pod_without_devices_passes_through() -> None:
    desk = Desk(cache_of(node("n1")))
    answer = await desk.filtering.filter(ask(pod("plain", ""), "n1", "other"))
    assert answer.node_names == ["n1", "other"]
    assert desk.cache.flights == {}


@in_loop
async def test_a_request_that_cannot_be_read_is_unresolvable_everywhere_and_says_why() -> None:
    desk = Desk(cache_of(node("n1")))
    answer = await desk.filtering.filter(ask(pod("a", "1.5"), "n1"))
    assert "nvidia.com/gpumem" in answer.unresolvable["n1"]
    assert answer.node_names == []


@in_loop
async def test_nodes_that_came_as_objects_go_back_as_objects() -> None:
    desk = Desk(cache_of(node("n1"), node("n2")))
    desk.cache.put_pod(decode_pod(json.dumps(placed("held", "GPU-n1-0", "n1")).encode()))
    answer = await desk.filtering.filter(ask(pod("a"), nodes=[node("n1"), node("n2")]))
    sent = json.loads(encode(answer))
    assert [item["metadata"]["name"] for item in sent["Nodes"]["items"]] == ["n2"]
    assert "NodeNames" not in sent
    assert len(desk.cache.flights) == 1


@in_loop
async def test_nodes_that_do_not_exist_yet_are_judged_and_nothing_is_reserved() -> None:
    desk = Desk(cache_of(node("n1")))
    answer = await desk.filtering.filter(ask(pod("a"), nodes=[node("template")]))
    assert answer.nodes is not None
    assert len(answer.nodes.items) == 1
    assert desk.cache.flights == {}
    assert desk.cache.fleet.nodes == ("n1",)


@in_loop
async def test_the_scheduler_may_choose_among_all_that_fit() -> None:
    desk = Desk(cache_of(node("n1"), node("n2"), node("n3")), Settings(node_choice=NodeChoice.SCHEDULER))
    desk.cache.put_pod(decode_pod(json.dumps(placed("held", "GPU-n1-0", "n1", 2000)).encode()))
    desk.cache.put_pod(decode_pod(json.dumps(placed("big", "GPU-n3-0", "n3", 9000)).encode()))
    answer = await desk.filtering.filter(ask(pod("a"), "n1", "n2", "n3"))
    assert answer.node_names == ["n1", "n2"]
    assert list(answer.failed) == ["n3"]
    assert desk.cache.flights == {}
    scores = await desk.filtering.prioritize(ask(pod("a"), "n1", "n2"))
    assert [(each.host, each.score) for each in scores] == [("n1", 10), ("n2", 0)]  # binpack likes the fuller node
    spread = pod("b")
    spread["metadata"]["annotations"] = {"hami.io/node-scheduler-policy": "spread"}
    scores = await desk.filtering.prioritize(ask(spread, "n1", "n2"))
    assert [(each.host, each.score) for each in scores] == [("n1", 0), ("n2", 10)]


@in_loop
async def test_prioritize_points_at_the_reserved_node() -> None:
    desk = Desk(cache_of(node("n1"), node("n2")))
    chosen = (await desk.filtering.filter(ask(pod("a"), "n1", "n2"))).node_names
    scores = await desk.filtering.prioritize(ask(pod("a"), "n1", "n2"))
    assert chosen == [each.host for each in scores if each.score == 10]


@in_loop
async def test_a_rejection_is_kept_with_a_line_for_each_card() -> None:
    desk = Desk(cache_of(node("n1", cards=2)))
    await desk.filtering.filter(ask(pod("a", 99999), "n1"))
    kept = desk.explanations.of("team/a")
    assert kept is not None
    assert kept.outcome == "rejected"
    assert len(kept.nodes["n1"]) == 3
    assert "99999 MiB" in kept.nodes["n1"][1]


def lock_since(seconds: float, owner: str) -> str:
    return encode_lock(LockValue(since=datetime.now(UTC) - timedelta(seconds=seconds), owner=("team", owner)))


@pytest.mark.parametrize(
    ("lock", "chosen"),
    [
        pytest.param(lambda: lock_since(60, "other"), "n2", id="stuck"),
        pytest.param(lambda: lock_since(60, "a"), "n1", id="our own"),
        pytest.param(lambda: lock_since(3600, "other"), "n1", id="expired"),
        pytest.param(lambda: "nonsense", "n1", id="unreadable"),
    ],
)
@in_loop
async def test_a_node_whose_lock_is_stuck_is_the_last_choice(lock: Callable[[], str], chosen: str) -> None:
    locked = node("n1", late=False, **{LOCK: lock()})  # now: a lock of the time of collection may have expired
    desk = Desk(cache_of(locked, node("n2", late=False)))
    desk.cache.put_pod(decode_pod(json.dumps(placed("held", "GPU-n1-0", "n1", 1000)).encode()))  # binpack likes n1
    assert (await desk.filtering.filter(ask(pod("a"), "n1", "n2"))).node_names == [chosen]


@in_loop
async def test_a_stuck_node_is_still_chosen_where_there_is_no_other() -> None:
    desk = Desk(cache_of(node("n1", late=False, **{LOCK: lock_since(60, "other")})))
    assert (await desk.filtering.filter(ask(pod("a"), "n1"))).node_names == ["n1"]
