"""Why a pod waits is told by whoever leads, also when another one refused it."""

from __future__ import annotations

from tests.cluster.install import LEASE
from tests.cluster.processes import wait_for
from tests.cluster.world import World, gpu_node


def test_a_new_leader_explains_a_pod_that_the_old_one_refused(world: World) -> None:
    installation, kube_scheduler = world.installation, world.plane.services["kube-scheduler"]
    world.add_node(gpu_node("small", memory_mib=4096))
    pod = world.pod("too-large", {"nvidia.com/gpu": 1, "nvidia.com/gpumem": 9000})
    pod["metadata"]["annotations"] = {"hami.io/node-scheduler-policy": "binpak"}
    pod = world.api.create(pod)
    world.unschedulable(pod, "CardInsufficientMemory")
    wait_for("the policy that nobody has", lambda: "UnknownPolicy" in "".join(world.api.events(pod)), timeout_s=60)

    kube_scheduler.stop()  # it would ask again
    try:
        installation.scheduler.kill()
        world.api.delete(LEASE)
        installation.start_scheduler()
        told = installation.explained(world.namespace, "too-large")
    finally:
        kube_scheduler.start()

    assert told["outcome"] == "rejected"
    assert "CardInsufficientMemory(small)" in told["message"]
    assert "did not decide it" in told["message"]
    assert "9000 MiB" in told["nodes"]["small"][1]
    assert "4096" in told["advice"][0]
    assert "did you mean binpack?" in told["notes"][0]
