"""The rules that every policy keeps, and what this one is for."""

from __future__ import annotations

from pathlib import Path

from hami_core import ContainerRequest, Device, DeviceRequest, Fleet, NodeFacts, PodRequest, load_registry
from hami_core.score import builtin
from hami_core.testing import PluginConformance
from hami_core.testing.conformance.sample import SampleFamily

import hami_policy_cheapest


class TestConformance(PluginConformance):
    plugin = hami_policy_cheapest
    docs = Path(__file__).parents[1] / "README.md"


def test_a_pod_goes_to_the_smallest_node_that_has_room() -> None:
    fleet = Fleet(load_registry(plugins=[builtin, SampleFamily(), hami_policy_cheapest]))
    for name, memory_mib in {"large": 81_920, "middle": 24_576, "small": 8_192}.items():
        card = Device(uuid=f"{name}-0", family="Sample", model="Sample", memory_mib=memory_mib, slots=10)
        fleet.upsert_node(NodeFacts(name=name), [card])
    chosen = {}
    for memory_mib in (4_000, 10_000, 40_000):
        asked = DeviceRequest(family="Sample", count=1, memory_mib=memory_mib)
        pod = PodRequest(name="p", containers=(ContainerRequest(name="c", devices=(asked,)),), node_policy="cheapest")
        best = fleet.decide(pod).best
        chosen[memory_mib] = best and best.placement.node
    assert chosen == {4_000: "small", 10_000: "middle", 40_000: "large"}
