"""A watch that the API server cannot go on with: everything is read anew, and nothing is missed."""

from __future__ import annotations

from tests.cluster.processes import wait_for
from tests.cluster.world import World, gpu_node

SHARE = {"nvidia.com/gpu": 1, "nvidia.com/gpumem": 4096}


def test_what_happened_before_an_expired_watch_is_known_after_it(world: World) -> None:
    world.add_node(gpu_node("expired", memory_mib=2 * 4096))
    gone = world.bound(world.api.create(world.pod("gone", SHARE)))
    world.bound(world.api.create(world.pod("kept", SHARE)))
    scheduler = world.installation.scheduler
    log_ends = scheduler.log.stat().st_size

    scheduler.freeze()
    try:
        # The new API server remembers no change from before its start: the scheduler's last one is too old for it.
        world.plane.restart_apiserver()
        world.api.delete({"apiVersion": "v1", "kind": "Pod", "metadata": gone["metadata"]})
    finally:
        scheduler.thaw()

    def expired() -> bool:
        return b"/api/v1/pods has expired" in scheduler.log.read_bytes()[log_ends:]

    wait_for("the watch of pods expired", expired, timeout_s=60)
    world.bound(world.api.create(world.pod("next", SHARE)), timeout_s=60)
    too_many = world.api.create(world.pod("too-many", SHARE))
    world.unschedulable(too_many, "CardInsufficientMemory", timeout_s=60)
