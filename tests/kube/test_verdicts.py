from __future__ import annotations

import json

from tests.kube.loop import in_loop
from tests.kube.world import Desk, ask, cache_of, node, placed, pod

from hami_core.kube.records import decode_node, decode_pod
from hami_core.quota import NamespaceQuota


@in_loop
async def test_a_refusal_that_is_remembered_reads_the_same_for_the_next_pod() -> None:
    desk = Desk(cache_of(node("n1"), node("n2")))
    first = await desk.filtering.filter(ask(pod("a", 99999), "n1", "n2"))
    second = await desk.filtering.filter(ask(pod("b", 99999), "n1", "n2"))
    assert first.failed == second.failed == dict.fromkeys(("n1", "n2"), "1/1 CardInsufficientMemory")


@in_loop
async def test_a_refusal_is_forgotten_when_its_node_changes() -> None:
    desk = Desk(cache_of(node("n1"), node("n2")))
    held = decode_pod(json.dumps(placed("held", "GPU-n1-0", "n1", 9000)).encode())
    desk.cache.put_pod(held)
    typed = {"nvidia.com/use-gpuuuid": "GPU-n1-0"}
    before = await desk.filtering.filter(ask(pod("a", 6000, annotations=typed), "n1", "n2"))
    assert sorted(before.failed) == ["n1"]
    sick = json.dumps([{"id": "GPU-n1-0", "count": 4, "devmem": 10000, "devcore": 100, "type": "NVIDIA A40"}])
    desk.cache.put_node(decode_node(json.dumps(node("n1", **{"hami.io/node-nvidia-register": sick})).encode()))
    after = await desk.filtering.filter(ask(pod("b", 6000, annotations=typed), "n1", "n2"))
    assert "CardNotHealth" in {**after.failed, **after.unresolvable}["n1"]


@in_loop
async def test_what_a_quota_refuses_is_never_remembered() -> None:
    desk = Desk(cache_of(node("n1")))
    desk.cache.put_quota(NamespaceQuota(namespace="team", name="q", limits={"nvidia.com/gpumem": 5000}))
    refused = await desk.filtering.filter(ask(pod("a", 6000), "n1"))
    assert "ResourceQuotaNotFit" in {**refused.failed, **refused.unresolvable}["n1"]
    desk.cache.put_quota(NamespaceQuota(namespace="team", name="q", limits={"nvidia.com/gpumem": 9000}))
    assert (await desk.filtering.filter(ask(pod("a", 6000), "n1"))).node_names == ["n1"]
