"""Pod YAML in, process under its share out: webhook, schedulers, kubelet, agent, containerd and library together."""

from __future__ import annotations

import json

import httpx
from prometheus_client.parser import text_string_to_metric_families
from tests.cluster.processes import wait_for
from tests.kubelet.images import BUSYBOX
from tests.kubelet.world import GPU, OUT_OF_MEMORY, PATIENCE_S, World, gpu_container


def test_kubelet_offers_the_slots_of_the_nodes_cards(world: World) -> None:
    wait_for("20 slots", lambda: world.node.node()["status"]["allocatable"].get(GPU) == "20", timeout_s=PATIENCE_S)

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


def test_init_containers_sidecars_and_containers_each_see_their_own(world: World) -> None:
    first = gpu_container("first", 1000)
    first["command"] = ["sh", "-c", "workload 100 0 & sleep 1"]
    sidecar = gpu_container("beside", 2000, restartPolicy="Always")
    plain = {"name": "plain", "image": BUSYBOX, "command": ["sh", "-c", "env | grep -c HAMI_; sleep 1000"]}
    pod = world.pod("kinds", gpu_container("main", 4000, gpus=2), plain, initContainers=[first, sidecar])
    world.running(pod)

    seen = {name: world.said(pod, name) for name in ("first", "beside", "main", "plain")}
    assert {name: said["total_mib"] for name, said in seen.items() if name != "plain"} == {
        "first": [1000],
        "beside": [2000],
        "main": [4000, 4000],
    }
    assert seen["plain"] == 0, "a container that asks for nothing is given nothing"


def test_a_container_with_a_whole_card_runs_without_the_library(world: World) -> None:
    pod = world.pod("whole", gpu_container("main", 46068))
    world.running(pod)

    assert world.said(pod, "main")["total_mib"] == [46068]
    (folder,) = (f for f in world.processes.container_folders() if f.startswith(world.now(pod)["metadata"]["uid"]))
    record = next((world.processes.files() / "containers" / folder).glob("*/record"))
    assert json.loads(record.read_bytes())["library"] == ""


def test_the_monitor_shows_what_a_container_uses_and_that_it_is_held(world: World) -> None:
    pod = world.pod("watched", gpu_container("main", 6000, take_mib=1500, more_mib=6000))
    world.said(pod, "main")
    monitor, url = world.processes.monitor()

    def metrics() -> dict[str, float]:
        families = text_string_to_metric_families(httpx.get(url, trust_env=False).text)
        mine = {"namespace": world.namespace, "pod": "watched", "container": "main", "node": "n1"}
        samples = (sample for family in families for sample in family.samples)
        return {sample.name: sample.value for sample in samples if mine.items() <= sample.labels.items()}

    monitor.start()
    try:
        monitor.wait_ready(lambda: "hami_share_memory_used_bytes" in metrics())
        seen = metrics()
        world.delete(pod)
        wait_for("the end of its series", lambda: not metrics(), timeout_s=PATIENCE_S)
    finally:
        monitor.kill()
    assert seen["hami_share_memory_limit_bytes"] == 6000 << 20
    assert 1500 << 20 <= seen["hami_share_memory_used_bytes"] <= 6000 << 20
    assert seen["hami_share_refused_allocations_total"] == 1
    assert seen["hami_isolation_active"] == 1
    assert seen["hami_isolation_processes"] == 1, "the container's process was found among the host's"
    assert seen["hami_isolation_unreadable"] == 0
