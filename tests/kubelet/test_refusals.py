"""What kubelet starts and what was assigned must agree; where they do not, no container starts with devices."""

from __future__ import annotations

from tests.kubelet.world import World, gpu_container

PAST_THE_WEBHOOK = {"hami.io/webhook": "ignore"}


def _refused(world: World, pod: dict[str, object], why: str) -> None:
    """See that the pod's owner is told why, and that its container did not start."""

    def told(_: object) -> bool:
        return any(event.startswith("DevicesRefused") and why in event for event in world.api.events(pod))

    found = world.wait(pod, f"is refused: {why}", told)
    assert "running" not in found["status"].get("containerStatuses", [{"state": {}}])[0]["state"]
    uid = found["metadata"]["uid"]
    assert uid not in {spec["annotations"]["hami.io/pod-uid"] for spec in world.processes.specs()}


def test_a_pod_that_no_scheduler_of_ours_placed_is_refused_with_an_event(world: World) -> None:
    world.label(PAST_THE_WEBHOOK)
    pod = world.pod("stranger", gpu_container("main", 3000), nodeName=world.node.name)

    _refused(world, pod, "no scheduler of HAMi placed the pod")


def test_a_pod_whose_assignment_names_another_card_is_refused_with_an_event(world: World) -> None:
    world.label(PAST_THE_WEBHOOK)
    annotations = {
        "hami.io/vgpu-node": world.node.name,
        "hami.io/vgpu-time": "1",
        "hami.io/vgpu-devices-allocated": "GPU-not-here,NVIDIA,3000,0:;",
    }
    pod = world.pod(
        "elsewhere", gpu_container("main", 3000), metadata={"annotations": annotations}, nodeName=world.node.name
    )

    _refused(world, pod, "is assigned card GPU-not-here")
