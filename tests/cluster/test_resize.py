"""`hami resize pod` against a real API server: checked by the leader, guarded by the webhook, written once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cluster.api import Object, Refused
from tests.cluster.control_plane import ADMIN_TOKEN, ControlPlane
from tests.cluster.world import World, gpu_node, shares

HELD = "hami.io/vgpu-devices-allocated"
WISH = "hami.io/resize"
STATUS = "hami.io/resize-status"
APPLIED = "hami.io/resize-applied"


def running(world: World, name: str, memory_mib: int) -> Object:
    asked = {"nvidia.com/gpu": 1, "nvidia.com/gpumem": memory_mib, "nvidia.com/gpucores": 20}
    return world.bound(world.api.create(world.pod(name, asked)))


def wish(world: World, pod: Object, memory_mib: int, wish_id: str) -> Object:
    """Ask, and wait for the answer: the pod with it."""
    text = json.dumps({"id": wish_id, "memoryMiB": memory_mib})
    world.api.patch(pod, {"metadata": {"annotations": {WISH: text}}})
    return world.api.wait(pod, "is answered", lambda found: answer(found).get("id") == wish_id)


def answer(pod: Object) -> Object:
    found: Object = json.loads(pod["metadata"]["annotations"].get(STATUS, "{}"))
    return found


def memory(pod: Object) -> int:
    ((_, memory_mib, _),) = shares(pod["metadata"]["annotations"][HELD])
    return memory_mib


def test_growth_is_granted_while_there_is_room_and_counts_for_those_who_come_after(world: World) -> None:
    world.add_node(gpu_node("resize", memory_mib=16384))
    first, second = running(world, "first", 4000), running(world, "second", 4000)
    grown = wish(world, first, 12384, "w1")
    assert (answer(grown)["outcome"], memory(grown)) == ("done", 12384)
    refused = wish(world, second, 4001, "w1")
    assert (answer(refused)["outcome"], memory(refused)) == ("refused", 4000)
    assert "4001 MiB asked, 4000 MiB not held by others" in answer(refused)["message"]
    late = world.api.create(world.pod("late", {"nvidia.com/gpu": 1, "nvidia.com/gpumem": 1000}))
    world.unschedulable(late, "CardInsufficientMemory")
    shrunk = wish(world, first, 10000, "w2")
    assert memory(shrunk) == 10000
    world.bound(late, timeout_s=60)
    assert any(event.startswith("Resized: ") for event in world.api.events(first))
    assert any(event.startswith("ResizeRefused: ") for event in world.api.events(second))


def test_the_answer_is_the_scheduler_s_to_write_and_nobody_else_s(world: World) -> None:
    world.add_node(gpu_node("forged", memory_mib=16384))
    pod = running(world, "a", 4000)
    for key in (STATUS, APPLIED):
        with pytest.raises(Refused, match=key):
            world.api.patch(pod, {"metadata": {"annotations": {key: '{"id":"x","outcome":"done"}'}}})


def test_the_quota_of_the_namespace_is_kept(world: World) -> None:
    world.add_node(gpu_node("quota", memory_mib=16384))
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": world.namespace}}
    world.api.create({**quota, "spec": {"hard": {"limits.nvidia.com/gpumem": "5000"}}})
    pod = running(world, "a", 4000)
    refused = wish(world, pod, 5001, "w1")
    assert (answer(refused)["outcome"], memory(refused)) == ("refused", 4000)
    assert "quota of" in answer(refused)["message"]
    assert answer(wish(world, pod, 5000, "w2"))["outcome"] == "done"


def test_the_command_waits_for_the_scheduler_and_tells_a_refusal_by_its_exit_code(
    world: World, control_plane: ControlPlane
) -> None:
    world.add_node(gpu_node("verb", memory_mib=16384))
    pod = running(world, "a", 4000)
    config = control_plane.kubeconfig("admin", ADMIN_TOKEN)
    hami = str(Path(sys.executable).with_name("hami"))
    command = [hami, "resize", "pod", f"{world.namespace}/a", "--kubeconfig", str(config), "--timeout", "20"]
    refused = subprocess.run([*command, "--memory", "20000"], capture_output=True, text=True, check=False, timeout=60)
    assert refused.returncode == 75, refused.stderr
    assert "20000 MiB asked" in refused.stderr
    done = subprocess.run([*command, "--memory", "5000"], capture_output=True, text=True, check=False, timeout=60)
    assert "has 5000 MiB of each card from now on" in done.stdout
    # No node agent runs on this node, and the command says that it did not hear of one.
    assert (done.returncode, "did not say" in done.stderr) == (2, True)
    found = world.api.get(pod)
    assert found is not None
    assert memory(found) == 5000
