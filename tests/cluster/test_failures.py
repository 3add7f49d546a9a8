"""Processes die, the API server restarts, annotations are broken: nothing is lost and nothing is given twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

from tests.cluster.api import Object
from tests.cluster.balancer import Balancer
from tests.cluster.install import LEASE, NAMESPACE
from tests.cluster.interceptor import Interceptor, Request, is_binding
from tests.cluster.processes import Service, free_port, wait_for
from tests.cluster.world import World, gpu, gpu_node

SHARE = {"nvidia.com/gpu": 1, "nvidia.com/gpumem": 4096}


def _card_use(world: World) -> dict[str, int]:
    used: dict[str, int] = {}
    for shares in world.holdings().values():
        for card, memory_mib, _ in shares:
            used[card] = used.get(card, 0) + memory_mib
    return used


def _holds(world: World, pods: int) -> bool:
    """Whether so many shares are held."""
    return sum(map(len, world.holdings().values())) >= pods


def _create_together(world: World, pods: int) -> None:
    """Create pods, none of them scheduled before all are there: without a leader the webhook is not served here."""
    kube_scheduler = world.plane.services["kube-scheduler"]
    kube_scheduler.stop()
    for index in range(pods):
        world.api.create(world.pod(f"pod-{index:02d}", SHARE))
    kube_scheduler.start()


def _killing(service: Service, *, after: int = 0) -> Callable[[Request], bool | None]:
    """Kills a process when it is about to bind a pod, after so many that it may bind; that bind fails."""
    seen = 0

    def decide(request: Request) -> bool | None:
        nonlocal seen
        if not is_binding(request):
            return None
        seen += 1
        if seen <= after:
            return None
        service.kill()
        return False

    return decide


def test_a_scheduler_killed_while_it_binds_over_commits_nothing_and_binds_the_rest_when_it_is_back(
    world: World, interceptor: Interceptor
) -> None:
    room = 24
    for index in range(3):
        world.add_node(gpu_node(f"killed-{index}", 2, 4 * 4096))
    scheduler = world.installation.scheduler

    interceptor.expect(_killing(scheduler, after=3))
    _create_together(world, room)
    for _ in range(2):
        assert interceptor.acted.wait(60)
        assert all(used <= 4 * 4096 for used in _card_use(world).values())
        interceptor.expect(_killing(scheduler, after=3))
        world.api.delete(LEASE)
        world.installation.start_scheduler()
    assert interceptor.acted.wait(60)
    world.api.delete(LEASE)
    world.installation.start_scheduler()

    wait_for("all bound", partial(_holds, world, room), timeout_s=60, pause_s=0.5)
    assert list(_card_use(world).values()) == [4 * 4096] * 6


def test_when_the_leader_is_killed_while_it_binds_another_replica_takes_over_and_over_commits_nothing(
    world: World, interceptor: Interceptor
) -> None:
    installation, api = world.installation, world.api
    room = 24
    for index in range(3):
        world.add_node(gpu_node(f"failover-{index}", 2, 4 * 4096))
    service = installation.find("Service", "hami-scheduler-extender")["spec"]
    ports = {"replica-a": free_port(), "replica-b": free_port()}
    replicas = {name: installation.replica(name, port) for name, port in ports.items()}
    pods = {name: api.create(installation.pod_of(name)) for name in replicas}

    def behind_the_service() -> list[str]:
        names = [pod["metadata"]["name"] for pod in api.list("Pod", NAMESPACE, selector=service["selector"])]
        return [name for name in names if replicas[name].running]

    def target() -> int | None:
        return next((ports[name] for name in behind_the_service()), None)

    installation.scheduler.stop()
    balancer = Balancer(installation.port, target)
    try:
        for name, replica in replicas.items():
            replica.start()
            replica.wait_ready(installation.ready(ports[name]))
        (leader,) = wait_for("a leader", behind_the_service, timeout_s=60)
        interceptor.expect(_killing(replicas[leader], after=5))
        _create_together(world, room)
        assert interceptor.acted.wait(60)
        api.delete(pods[leader])

        wait_for("all bound", partial(_holds, world, room), timeout_s=90, pause_s=0.5)
        assert list(_card_use(world).values()) == [4 * 4096] * 6
        assert behind_the_service() == sorted(set(replicas) - {leader})
    finally:
        balancer.close()
        for name, replica in replicas.items():
            replica.stop()
            api.delete(pods[name])
        installation.start_scheduler()


def test_after_an_api_server_restart_pods_are_scheduled_as_before(world: World) -> None:
    world.add_node(gpu_node("restart", memory_mib=2 * 4096))
    world.bound(world.api.create(world.pod("before", SHARE)))

    world.plane.restart_apiserver()

    world.bound(world.api.create(world.pod("after", SHARE)), timeout_s=60)
    third = world.api.create(world.pod("too-many", SHARE))
    world.unschedulable(third, "CardInsufficientMemory")
    assert _card_use(world) == {gpu(0, node="restart")["id"]: 2 * 4096}


def test_a_node_with_a_malformed_annotation_is_passed_over_and_named_and_the_others_serve(world: World) -> None:
    broken = gpu_node("broken")
    broken["metadata"]["annotations"]["hami.io/node-nvidia-register"] = '[{"id":'
    node = world.add_node(broken)
    pod = world.api.create(world.pod("waiting", SHARE))
    wait_for("an event that names the node", lambda: "broken" in "".join(world.api.events(pod)), timeout_s=60)

    register = json.dumps([gpu(0, node="broken")])
    world.api.patch(_node(node), {"metadata": {"annotations": {"hami.io/node-nvidia-register": register}}})

    assert world.bound(pod)["spec"]["nodeName"] == "broken"


def test_a_lock_that_a_dead_pod_left_is_taken_over(world: World) -> None:
    locked = gpu_node("locked", late=False)
    locked["metadata"]["annotations"]["hami.io/mutex.lock"] = "2026-01-01T00:00:00Z,default,gone"
    node = world.add_node(locked)
    world.start_device_plugin()

    world.bound(world.api.create(world.pod("next", SHARE)))

    wait_for("lock freed", lambda: "hami.io/mutex.lock" not in _annotations(world, node), timeout_s=60)


def test_a_lock_that_cannot_be_read_does_not_block_its_node(world: World) -> None:
    locked = gpu_node("unreadable", late=False)
    locked["metadata"]["annotations"]["hami.io/mutex.lock"] = "yesterday"
    world.add_node(locked)
    world.start_device_plugin()

    world.bound(world.api.create(world.pod("next", SHARE)))


def _node(node: Object) -> Object:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node["metadata"]["name"]}}


def _annotations(world: World, node: Object) -> dict[str, str]:
    found = world.api.get(_node(node))
    assert found is not None
    annotations: dict[str, str] = found["metadata"]["annotations"]
    return annotations
