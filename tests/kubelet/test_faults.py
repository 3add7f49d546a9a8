"""Agent, kubelet and containerd end and come back at any moment: nothing is lost, nothing is handed out twice."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.cluster.processes import wait_for
from tests.kubelet.world import GPU, PATIENCE_S, World, gpu_container

DYING = (sys.executable, Path(__file__).with_name("dying_agent.py"), "node-agent")
STEPS = [
    "before:Host.holders",
    "after:Host.holders",
    "after:Furnisher.furnish",
    "after:cdi.write",
    "after:mark_allocated",
]


def _wait_for_death(world: World) -> None:
    wait_for("the agent's death", lambda: not world.processes.agent.running, timeout_s=PATIENCE_S)


def test_an_agent_killed_at_every_step_of_a_start_only_delays_it(world: World) -> None:
    world.processes.agent.kill()
    pod = None
    for step in STEPS:
        world.processes.start_agent(program=DYING, env={"HAMI_TESTS_DIE": step})
        pod = pod or world.pod("first", gpu_container("main", 30000))
        _wait_for_death(world)
    world.processes.start_agent()

    assert pod is not None
    world.running(pod)
    second = world.pod("second", gpu_container("main", 20000))
    world.running(second)
    assert world.said(pod, "main")["total_mib"] == [30000]
    assert world.said(second, "main")["total_mib"] == [20000]
    assert world.now(pod)["metadata"]["annotations"]["hami.io/bind-phase"] == "success"
    folders = [folder.partition("_")[0] for folder in world.processes.container_folders()]
    owners = [spec["annotations"]["hami.io/pod-uid"] for spec in world.processes.specs()]
    for one in (pod, second):
        uid = world.now(one)["metadata"]["uid"]
        assert (folders.count(uid), owners.count(uid)) == (1, 1)


def test_an_agent_killed_in_allocate_costs_that_pod_its_admission_and_nobody_its_devices(world: World) -> None:
    world.processes.agent.kill()
    world.processes.start_agent(program=DYING, env={"HAMI_TESTS_DIE": "before:LateBinder.allocate"})
    pod = world.pod("first", gpu_container("main", 30000))
    _wait_for_death(world)

    # kubelet admits a pod once: a controller would make another.
    failed = world.wait(pod, "has failed", lambda found: found["status"].get("phase") == "Failed")
    assert failed["status"]["reason"] == "UnexpectedAdmissionError"
    world.processes.start_agent()
    again = [world.pod(f"again-{number}", gpu_container("main", 46000)) for number in range(2)]
    assert [world.said(one, "main")["total_mib"] for one in again] == [[46000], [46000]]


def test_containers_run_on_while_kubelet_restarts_and_new_ones_come_after(world: World) -> None:
    before = world.pod("before", gpu_container("main", 3000))
    world.running(before)
    known = world.processes.registrations()
    world.node.kubelet.kill()
    world.node.start_kubelet()
    wait_for("registration", lambda: world.processes.registrations() > known, timeout_s=PATIENCE_S)
    wait_for("slots", lambda: world.node.node()["status"]["allocatable"].get(GPU) == "20", timeout_s=PATIENCE_S)

    after = world.pod("after", gpu_container("main", 4000))
    assert world.said(after, "main")["total_mib"] == [4000]
    status = world.running(before)["status"]["containerStatuses"][0]
    assert status["restartCount"] == 0


def test_containers_run_on_while_containerd_restarts_and_new_ones_come_after(world: World) -> None:
    before = world.pod("before", gpu_container("main", 3000))
    world.running(before)
    world.node.containerd.kill()
    world.node.start_containerd()

    after = world.pod("after", gpu_container("main", 4000))
    assert world.said(after, "main")["total_mib"] == [4000]
    assert world.running(before)["status"]["containerStatuses"][0]["restartCount"] == 0


def test_a_container_that_crashes_starts_again_with_its_own_share(world: World) -> None:
    container = gpu_container("main", 5000)
    container["command"] = ["sh", "-c", "workload 100 0 & sleep 2; exit 1"]
    pod = world.pod("crashing", container)

    world.wait(
        pod, "was restarted", lambda found: found["status"].get("containerStatuses", [{}])[0].get("restartCount")
    )
    assert world.said(pod, "main")["total_mib"] == [5000]
