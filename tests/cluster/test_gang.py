"""Pods of one group are to start together: a member waits at the node's lock where another pod would give up."""

from __future__ import annotations

from tests.cluster.processes import wait_for
from tests.cluster.world import World, gpu_node

SHARE = {"nvidia.com/gpu": 1, "nvidia.com/gpumem": 4096}
GROUP = {"scheduling.x-k8s.io/pod-group": "train"}


def test_a_member_of_a_gang_waits_for_the_lock_that_others_fail_at(world: World) -> None:
    world.add_node(gpu_node("gang", cards=2, late=False))
    holder = world.bound(world.api.create(world.pod("holder", SHARE)))  # nobody frees the lock yet
    member = world.pod("member", SHARE)
    member["metadata"]["labels"] = GROUP

    world.api.create(member)
    wait_for("a node for the member", lambda: _outcome(world, "member") == "reserved", timeout_s=60)
    other = world.api.create(world.pod("other", SHARE))
    wait_for("the other gave up", lambda: "node lock contention" in "".join(world.api.events(other)), timeout_s=60)
    assert not world.api.get(member)["spec"].get("nodeName")
    world.start_device_plugin()

    world.bound(member)
    assert not [event for event in world.api.events(member) if event.startswith("BindingFailed")]
    world.bound(other, timeout_s=60)
    assert len(world.holdings()[holder["spec"]["nodeName"]]) == 3


def _outcome(world: World, name: str) -> str:
    found: str = world.installation.explained(world.namespace, name).get("outcome", "")
    return found
