"""Every vendor's example, through the real API server, webhook and kube-scheduler, onto a node."""

from __future__ import annotations

import pytest
from tests.cluster.world import World, example_nodes, shares

from hami_core.registry import load_registry

# Vendor, family of the example, (MiB, cores) that default_use.yaml's container gets.
VENDORS = [
    ("nvidia", "NVIDIA", (3000, 30)),
    ("mlu", "MLU", (3072, 30)),
    ("ascend", "Ascend910B3", (16384, 0)),
    ("dcu", "DCU", (2000, 30)),
    ("iluvatar", "BI-V150", (4096, 30)),
    ("mthreads", "Mthreads", (4096, 4)),
]


@pytest.mark.parametrize(("vendor", "family", "share"), VENDORS, ids=[row[0] for row in VENDORS])
def test_an_example_pod_is_mutated_scheduled_and_bound_with_its_devices(
    world: World, vendor: str, family: str, share: tuple[int, int]
) -> None:
    nodes = example_nodes(vendor)
    for node in nodes:
        world.add_node(node)
    world.start_device_plugin()

    created = world.api.create(world.example(vendor, "default_use"))
    assert created["spec"]["schedulerName"] == "hami-scheduler"

    bound = world.bound(created)
    annotations = bound["metadata"]["annotations"]
    wire = load_registry().family(family).family.wire
    assert bound["spec"]["nodeName"] in {node["metadata"]["name"] for node in nodes}
    assert annotations["hami.io/vgpu-node"] == bound["spec"]["nodeName"]
    assert bound["metadata"]["labels"]["hami.io/vgpu-node"] == bound["spec"]["nodeName"]
    held = shares(annotations[wire.allocated])
    assert [share] == [(memory_mib, cores) for _, memory_mib, cores in held]
    if wire.to_allocate:
        assert annotations[wire.to_allocate] == annotations[wire.allocated]
    finished = world.api.wait(
        bound, "is allocated", lambda pod: pod["metadata"]["annotations"]["hami.io/bind-phase"] == "success"
    )
    assert any("BindingSucceed" in event for event in world.api.events(finished))
