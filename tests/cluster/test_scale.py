"""A thousand nodes that kwok keeps alive: pods come to run on them, and the scheduler writes no more than it must."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.cluster.api import Object
from tests.cluster.built import built
from tests.cluster.control_plane import ControlPlane
from tests.cluster.install import SCHEDULER_USER
from tests.cluster.processes import wait_for
from tests.cluster.world import World, gpu_node

NODES = 1000
PODS = 200
ASKS = {"nvidia.com/gpu": 1, "nvidia.com/gpumem": 2000, "nvidia.com/gpucores": 5}
KWOK = {"kwok.x-k8s.io/node": "fake"}


@pytest.fixture
def kwok(control_plane: ControlPlane) -> Iterator[None]:
    """Does what kubelets do, for nodes that are marked as its own."""
    service = control_plane.service(
        "kwok",
        built(Path(__file__).parent, "kwok") / "kwok",
        f"--kubeconfig={control_plane.admin_kubeconfig}",
        f"--config={Path(__file__).with_name('kwok.yaml')}",
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
    )
    service.start()
    yield
    service.stop()


def _marked(node: Object) -> Object:
    metadata = node["metadata"]
    return {**node, "metadata": {**metadata, "annotations": {**metadata["annotations"], **KWOK}}}


def _writes(world: World, since: int) -> Counter[str]:
    """What the scheduler wrote, by verb and resource."""
    calls = world.plane.audit.calls(SCHEDULER_USER, since=since)
    writing = (call.right for call in calls if call.right.verb in ("create", "update", "patch", "delete"))
    return Counter(f"{right.verb} {right.resource}" for right in writing)


@pytest.mark.usefixtures("kwok")
def test_pods_run_on_a_thousand_nodes_for_one_write_each_and_none_a_node(world: World) -> None:
    began = world.plane.audit.mark()
    with ThreadPoolExecutor(8) as workers:
        nodes = [_marked(gpu_node(f"kwok-{index:04d}", cards=8)) for index in range(NODES)]
        list(workers.map(world.add_node, nodes))
        list(workers.map(world.api.create, [world.pod(f"pod-{index:03d}", ASKS) for index in range(PODS)]))

    def all_run() -> bool:
        return sum(pod["status"]["phase"] == "Running" for pod in world.pods()) == PODS

    wait_for("every pod runs", all_run, timeout_s=120, pause_s=1)
    shares = [share for held in world.holdings().values() for share in held]
    assert [(memory_mib, cores) for _card, memory_mib, cores in shares] == [(2000, 5)] * PODS
    writes = _writes(world, began)
    assert writes["create pods/binding"] == PODS
    assert writes["patch nodes"] == 0
