from __future__ import annotations

import json

from tests.kube.loop import in_loop
from tests.kube.world import CARD_MIB, Clock, Desk, Object, ask, cache_of, node, placed, pod

from hami_core.kube.cache import Cache, PodSink
from hami_core.kube.records import decode_node, decode_pod


def see(cache: Cache, item: Object) -> None:
    cache.put_pod(decode_pod(json.dumps(item).encode()))


def used_mib(cache: Cache, name: str) -> int:
    return sum(use.memory_used_mib for use in cache.fleet.uses(name))


def test_what_pods_hold_is_read_from_their_annotations_alone() -> None:
    cache = cache_of(node("n1"))
    see(cache, placed("a", "GPU-n1-0", "n1", 6000))
    assert used_mib(cache, "n1") == 6000


def test_pods_may_be_seen_before_their_node() -> None:
    cache = cache_of()
    see(cache, placed("a", "GPU-n1-0", "n1", 6000))
    cache.put_node(decode_node(json.dumps(node("n1")).encode()))
    assert used_mib(cache, "n1") == 6000


def test_a_pod_that_ended_holds_nothing() -> None:
    cache = cache_of(node("n1"))
    see(cache, placed("a", "GPU-n1-0", "n1"))
    see(cache, {**placed("a", "GPU-n1-0", "n1"), "status": {"phase": "Succeeded"}})
    assert used_mib(cache, "n1") == 0


@in_loop
async def test_an_event_from_before_the_binding_does_not_take_a_reservation_away() -> None:
    desk = Desk(cache_of(node("n1")))
    await desk.filtering.filter(ask(pod("a"), "n1"))
    see(desk.cache, pod("a"))
    assert used_mib(desk.cache, "n1") == 6000


@in_loop
async def test_annotations_of_an_earlier_attempt_do_not_move_a_reservation() -> None:
    desk = Desk(cache_of(node("n1"), node("n2")))
    old = placed("a", "GPU-n2-0", "n2", bound=False)
    await desk.filtering.filter(ask(pod("a"), "n1"))
    see(desk.cache, old)
    assert (used_mib(desk.cache, "n1"), used_mib(desk.cache, "n2")) == (6000, 0)


@in_loop
async def test_the_event_that_shows_the_binding_ends_the_flight() -> None:
    desk = Desk(cache_of(node("n1")))
    await desk.filtering.filter(ask(pod("a"), "n1"))
    see(desk.cache, placed("a", "GPU-n1-0", "n1"))
    assert desk.cache.flights == {}
    assert used_mib(desk.cache, "n1") == 6000


@in_loop
async def test_a_pod_deleted_in_flight_gives_its_share_back() -> None:
    desk = Desk(cache_of(node("n1")))
    await desk.filtering.filter(ask(pod("a"), "n1"))
    desk.cache.drop_pod(decode_pod(json.dumps(pod("a")).encode()))
    assert used_mib(desk.cache, "n1") == 0


def test_an_allocation_that_never_became_a_binding_is_given_back_after_a_while() -> None:
    clock = Clock()
    cache = cache_of(node("n1"), clock=clock)
    see(cache, placed("a", "GPU-n1-0", "n1", bound=False))
    clock.now_s += 299
    assert cache.drop_stale(300) == []
    clock.now_s += 2
    assert cache.drop_stale(300) == ["team/a"]
    assert used_mib(cache, "n1") == 0


def test_a_list_drops_what_it_does_not_have() -> None:
    cache = cache_of(node("n1"))
    sink = PodSink(cache)
    see(cache, placed("gone", "GPU-n1-0", "n1", 1000))
    sink.begin()
    sink.put(decode_pod(json.dumps(placed("stays", "GPU-n1-0", "n1", 2000)).encode()))
    sink.end()
    assert used_mib(cache, "n1") == 2000


def test_a_malformed_register_hurts_that_node_alone_and_is_told() -> None:
    cache = cache_of(node("n1"), node("bad", **{"hami.io/node-nvidia-register": "[{]"}))
    assert list(cache.problems) == ["node bad"]
    assert [use.device.memory_mib for use in cache.fleet.uses("n1")] == [CARD_MIB]


def test_a_record_with_a_part_of_another_type_is_read_for_the_rest() -> None:
    facts = decode_pod(b'{"metadata":{"name":"a","annotations":{"k":1,"hami.io/vgpu-node":"n1"}},"spec":{}}')
    assert facts.annotations == {"hami.io/vgpu-node": "n1"}
