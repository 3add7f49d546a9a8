"""A container runtime without CDI: HAMi's way, one pod at a time under the node lock."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.cluster.processes import wait_for
from tests.kubelet.world import PATIENCE_S, World, gpu_container


@pytest.fixture
def old_world(world: World) -> Iterator[World]:
    """The same node without CDI; its agent is told so."""
    world.processes.agent.kill()
    world.node.use_cdi(cdi=False)
    world.processes.start_agent("--binding=allocating")
    binding = "hami.io/binding"
    wait_for("lock", lambda: binding not in world.node.node()["metadata"]["annotations"], timeout_s=PATIENCE_S)
    yield world
    world.processes.agent.kill()
    world.node.use_cdi(cdi=True)
    world.processes.start_agent()
    wait_for("no lock", lambda: binding in world.node.node()["metadata"]["annotations"], timeout_s=PATIENCE_S)


def test_pods_get_their_shares_one_after_the_other(old_world: World) -> None:
    sizes = {("a", "one"): 1000, ("a", "two"): 2000, ("b", "one"): 3000, ("c", "one"): 4000}
    pods = {
        pod: old_world.pod(pod, *(gpu_container(name, size) for (of, name), size in sizes.items() if of == pod))
        for pod in ("a", "b", "c")
    }

    seen = {(pod, name): old_world.said(pods[pod], name)["total_mib"] for pod, name in sizes}
    assert seen == {place: [size] for place, size in sizes.items()}
    assert old_world.processes.specs() == []
    annotations = old_world.node.node()["metadata"]["annotations"]
    assert not annotations.get("hami.io/mutex.lock")
    for pod in pods.values():
        assert old_world.now(pod)["metadata"]["annotations"]["hami.io/bind-phase"] == "success"
