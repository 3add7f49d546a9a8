from __future__ import annotations

import json

import attrs
from tests.kube.fake_api import fake_api
from tests.kube.loop import in_loop
from tests.kube.world import LOCK, cache_of, node, placed, pod

from hami_core.kube.audit import Audit
from hami_core.kube.records import decode_node, decode_pod
from hami_core.kube.rehearsal import Rehearsal, decode_whole_pod
from hami_core.kube.settings import Settings
from hami_core.model import Placement


@in_loop
async def test_locks_that_nobody_uses_are_freed_and_counted_and_others_are_not() -> None:
    owner = "2999-01-01T00:00:00Z,team,owner"
    nodes = [
        node("n1", late=False, **{LOCK: "2999-01-01T00:00:00Z,team,gone"}),
        node("n2", late=False, **{LOCK: owner}),
        node("n3", late=False, **{LOCK: "nonsense"}),
    ]
    async with fake_api() as (fake, api):
        for each in nodes:
            await fake.put(f"/api/v1/nodes/{each['metadata']['name']}", each)
        await fake.put("/api/v1/namespaces/team/pods/owner", pod("owner"))
        cache = cache_of(*nodes)
        await Audit(api, lambda: cache, Settings(), leading=lambda: True).repair()
        locks = [fake.item(f"/api/v1/nodes/{name}")["metadata"]["annotations"].get(LOCK) for name in ("n1", "n2", "n3")]
        assert locks == [None, owner, None]
        assert cache.counts.locks_cleared == 2


@in_loop
async def test_a_follower_and_a_dry_run_free_no_lock() -> None:
    locked = node("n1", late=False, **{LOCK: "nonsense"})
    async with fake_api() as (fake, api):
        await fake.put("/api/v1/nodes/n1", locked)
        cache = cache_of(locked)
        await Audit(api, lambda: cache, Settings(), leading=lambda: False).repair()
        await Audit(None, lambda: cache, Settings(), leading=lambda: True).repair()
        assert fake.writes() == []


@in_loop
async def test_books_that_differ_from_the_annotations_are_put_right_and_counted() -> None:
    cache = cache_of(node("n1"))
    cache.put_pod(decode_pod(json.dumps(placed("a", "GPU-n1-0", "n1", 6000)).encode()))
    audit = Audit(None, lambda: cache, Settings(), leading=lambda: True)
    await audit.check_books()
    assert cache.counts.drift == 0
    held = cache.fleet.holding("uid-a")
    assert held is not None
    cache.fleet.add_pod("uid-a", attrs.evolve(held.placement, containers=()), label="team/a")
    cache.fleet.add_pod("uid-b", Placement(node="n1"), label="team/b")
    await audit.check_books()
    assert cache.counts.drift == 1
    assert cache.fleet.uses("n1")[0].memory_used_mib == 6000


def test_a_rehearsal_says_where_a_pod_would_go_or_why_it_would_wait() -> None:
    cache = cache_of(node("n1"))
    rehearsal = Rehearsal(lambda: cache, Settings())

    def verdict(memory_mib: int | str) -> str:
        return rehearsal.verdict(decode_whole_pod(json.dumps(pod("a", memory_mib)).encode()))

    assert verdict(6000) == "would go to node n1: GPU-n1-0 (6000 MiB)"
    assert verdict(99999).startswith("would wait: no available node, 1 nodes do not meet")
    assert verdict("1.5").startswith("would be refused: ")
    assert verdict("") == ""
    assert cache.fleet.uses("n1")[0].memory_used_mib == 0


def test_a_cordoned_card_is_seen_at_once() -> None:
    cache = cache_of(node("n1"))
    cache.put_node(decode_node(json.dumps(node("n1", **{"hami.io/device-cordon": "GPU-n1-0"})).encode()))
    assert cache.fleet.uses("n1")[0].cordoned
