"""A cluster that HAMi 2.10 ran: our scheduler takes over its nodes and pods as they are."""

from __future__ import annotations

from tests.cluster.processes import wait_for
from tests.cluster.world import World

# As HAMi 2.10 and its NVIDIA plugin write them: empty fields left out, and the trailing separators.
REGISTER = (
    '[{"id":"GPU-old-0","count":10,"devmem":16384,"devcore":100,"type":"NVIDIA-Tesla T4","mode":"hami-core",'
    '"health":true},{"id":"GPU-old-1","index":1,"count":10,"devmem":16384,"devcore":100,"type":"NVIDIA-Tesla T4",'
    '"mode":"hami-core","health":true}]'
)
ALLOCATED = "GPU-old-0,NVIDIA,12000,30:;"


def test_nodes_and_pods_that_hami_annotated_are_taken_over_as_they_are(world: World) -> None:
    installation, api = world.installation, world.api
    annotations = {
        "hami.io/node-nvidia-register": REGISTER,
        "hami.io/node-handshake": "Requesting_2026-01-07 00:00:00",
        "hami.io/mutex.lock": "2026-01-07T00:00:00Z",
    }
    node = {
        "metadata": {"name": "was-hami", "annotations": annotations},
        "status": {"capacity": {"nvidia.com/gpu": 20}},
    }
    webhook = installation.find("MutatingWebhookConfiguration", "hami-scheduler")

    installation.scheduler.stop()
    api.delete(webhook)
    try:
        world.add_node(node)
        old = world.pod("old", {"nvidia.com/gpu": 1, "nvidia.com/gpumem": 12000, "nvidia.com/gpucores": 30})
        old["metadata"]["annotations"] = {
            "hami.io/vgpu-node": "was-hami",
            "hami.io/vgpu-time": "1795480329",
            "hami.io/vgpu-devices-to-allocate": ";",
            "hami.io/vgpu-devices-allocated": ALLOCATED,
            "hami.io/bind-phase": "success",
            "hami.io/bind-time": "1795480330",
        }
        old["spec"] |= {"nodeName": "was-hami", "schedulerName": "hami-scheduler"}
        # The API server takes a moment to notice that nobody has to be asked any more.
        wait_for("the pod that HAMi bound", lambda: api.create(old), timeout_s=60)
    finally:
        api.apply(webhook)
        installation.start_scheduler()
    world.start_device_plugin()

    new = world.pod("new", {"nvidia.com/gpu": 1, "nvidia.com/gpumem": 12000})
    wait_for(
        "the webhook again", lambda: world.rehearsed(new)["spec"]["schedulerName"] == "hami-scheduler", timeout_s=60
    )
    world.bound(api.create(new))
    third = api.create(world.pod("third", {"nvidia.com/gpu": 1, "nvidia.com/gpumem": 12000}))

    world.unschedulable(third, "CardInsufficientMemory")
    assert world.holdings() == {"was-hami": [("GPU-old-1", 12000, 0), ("GPU-old-0", 12000, 30)]}
