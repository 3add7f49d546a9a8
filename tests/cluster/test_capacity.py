"""Shares are neither given twice nor left lying: races for the last one, nodes filled to the brim, capacity freed."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.cluster.api import Object
from tests.cluster.processes import wait_for
from tests.cluster.world import World, gpu_node

CREATORS = 8


def _asking(world: World, name: str, memory_mib: int, cores: int = 0) -> Object:
    return world.pod(name, {"nvidia.com/gpu": 1, "nvidia.com/gpumem": memory_mib, "nvidia.com/gpucores": cores})


def _bound(world: World) -> list[Object]:
    return [pod for pod in world.pods() if pod["spec"].get("nodeName")]


def test_of_two_pods_that_race_for_the_last_share_one_is_bound_and_the_other_told_why(world: World) -> None:
    world.add_node(gpu_node("last-share", memory_mib=16384))
    pods = [_asking(world, name, 10000) for name in ("first", "second")]

    with ThreadPoolExecutor(2) as creators:
        list(creators.map(world.api.create, pods))

    wait_for("one pod bound", lambda: _bound(world), timeout_s=60)
    (winner,) = _bound(world)
    (loser,) = (pod for pod in pods if pod["metadata"]["name"] != winner["metadata"]["name"])
    world.unschedulable(loser, "CardInsufficientMemory")
    assert len(_bound(world)) == 1


def test_a_pending_pod_is_scheduled_when_a_share_is_freed(world: World) -> None:
    world.add_node(gpu_node("freed", memory_mib=16384))
    first = world.bound(world.api.create(_asking(world, "first", 10000)))
    second = world.api.create(_asking(world, "second", 10000))
    world.unschedulable(second, "CardInsufficientMemory")

    world.api.delete({"apiVersion": "v1", "kind": "Pod", "metadata": first["metadata"]})

    world.bound(second, timeout_s=60)


def test_eight_creators_fill_the_nodes_to_the_brim_and_not_beyond(world: World) -> None:
    nodes, cards, per_card, memory_mib = 100, 2, 2, 4096
    with ThreadPoolExecutor(CREATORS) as creators:
        made = [gpu_node(f"brim-{index:03d}", cards, per_card * memory_mib, slots=10) for index in range(nodes)]
        list(creators.map(world.add_node, made))
    room = nodes * cards * per_card
    pods = [_asking(world, f"pod-{index:04d}", memory_mib, 50) for index in range(room + 10)]

    with ThreadPoolExecutor(CREATORS) as creators:
        list(creators.map(world.api.create, pods))
    wait_for("every share taken", lambda: len(_bound(world)) >= room, timeout_s=240, pause_s=1)

    held = world.holdings()
    used: Counter[str] = Counter()
    for shares in held.values():
        for card, share_mib, _ in shares:
            used[card] += share_mib
    assert len(held) == nodes
    assert len(used) == nodes * cards
    assert set(used.values()) == {per_card * memory_mib}
    left = [pod for pod in world.pods() if not pod["spec"].get("nodeName")]
    assert len(left) == 10
    for pod in left:
        world.unschedulable({**pod, "apiVersion": "v1", "kind": "Pod"})
    assert len(_bound(world)) == room
