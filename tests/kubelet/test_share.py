"""Pod YAML in, process under its share out: webhook, schedulers, kubelet, agent, containerd and library together."""

from __future__ import annotations

from tests.cluster.processes import wait_for
from tests.kubelet.world import GPU, OUT_OF_MEMORY, World, gpu_container


def test_kubelet_offers_the_slots_of_the_nodes_cards(world: World) -> None:
    allocatable = wait_for("slots", lambda: world.node.node()["status"]["allocatable"].get(GPU), timeout_s=30)

    assert allocatable == "20"
    assert world.node.node()["metadata"]["annotations"]["hami.io/binding"] == "late"


def test_a_container_sees_its_share_and_is_refused_more(world: World) -> None:
    pod = world.pod("half", gpu_container("main", 23034, take_mib=20000, more_mib=4000))
    world.running(pod)

    said = world.said(pod, "main")
    annotations = world.now(pod)["metadata"]["annotations"]
    assert said["total_mib"] == [23034]
    assert said["visible"] == annotations["hami.io/vgpu-devices-allocated"].partition(",")[0]
    assert (said["took"], said["more"]) == (0, OUT_OF_MEMORY)
    assert annotations["hami.io/bind-phase"] == "success"
    assert world.now(pod)["spec"]["runtimeClassName"] == "nvidia"


def test_containers_of_pods_that_start_at_once_each_get_their_own(world: World) -> None:
    sizes = {("a", "one"): 1000, ("a", "two"): 2000, ("b", "one"): 3000, ("b", "two"): 4000, ("b", "three"): 5000}
    pods = {
        pod: world.pod(pod, *(gpu_container(name, size) for (of, name), size in sizes.items() if of == pod))
        for pod in ("a", "b")
    }

    seen = {(pod, name): world.said(pods[pod], name)["total_mib"] for pod, name in sizes}
    assert seen == {place: [size] for place, size in sizes.items()}
