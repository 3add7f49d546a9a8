"""The leader dies at each step of a bind, the write of that step carried out or not: the pod gets its share, once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.cluster.api import Api, Object
from tests.cluster.control_plane import ControlPlane
from tests.cluster.install import NAMESPACE, SCHEDULER, Installation
from tests.cluster.interceptor import Interceptor, Request
from tests.cluster.world import World, gpu_node

ASKS = {"nvidia.com/gpu": 1, "nvidia.com/gpumem": 10000}
USER = f"system:serviceaccount:{NAMESPACE}:{SCHEDULER}"
LEASE: Object = {
    "apiVersion": "coordination.k8s.io/v1",
    "kind": "Lease",
    "metadata": {"name": "hami-scheduler-extender", "namespace": NAMESPACE},
}


def _annotations(item: Object | None) -> dict[str, str]:
    found: dict[str, str] = ((item or {}).get("metadata") or {}).get("annotations") or {}
    return found


def _locks(request: Request) -> bool:
    return request["kind"]["kind"] == "Node" and "hami.io/mutex.lock" in _annotations(request["object"])


def _annotates(request: Request) -> bool:
    return request["kind"]["kind"] == "Pod" and "hami.io/vgpu-node" in _annotations(request["object"])


def _binds(request: Request) -> bool:
    return request["kind"]["kind"] == "Binding"


STEPS = {"lock": _locks, "annotations": _annotates, "binding": _binds}


@pytest.fixture
def interceptor(control_plane: ControlPlane, installation: Installation, world: World) -> Iterator[Interceptor]:
    made = Interceptor(control_plane, USER)
    node = world.add_node({"metadata": {"name": "touched"}})
    as_scheduler = Api(control_plane.url, installation.scheduler_token, control_plane.ca)
    count = iter(range(1000))
    try:
        made.watch(lambda: as_scheduler.patch(node, {"metadata": {"annotations": {"touched": str(next(count))}}}))
        yield made
    finally:
        made.close()
        as_scheduler.close()


@pytest.mark.parametrize("carried_out", [True, False], ids=["carried-out", "lost"])
@pytest.mark.parametrize("step", STEPS)
def test_a_leader_that_dies_at_this_step_loses_nothing_and_gives_nothing_twice(
    world: World, interceptor: Interceptor, step: str, carried_out: bool
) -> None:
    scheduler = world.installation.scheduler

    def die(request: Request) -> bool | None:
        if not STEPS[step](request):
            return None
        scheduler.kill()
        return carried_out

    world.add_node(gpu_node("steps", memory_mib=16384, late=False))
    world.start_device_plugin()
    interceptor.expect(die)

    first = world.api.create(world.pod("first", ASKS))
    assert interceptor.acted.wait(30)
    world.api.delete(LEASE)  # as if its time had run out
    world.installation.start_scheduler()

    first = world.bound(first, timeout_s=60)
    assert [memory_mib for shares in world.holdings().values() for _, memory_mib, _ in shares] == [10000]
    second = world.api.create(world.pod("second", ASKS))
    world.unschedulable(second, "CardInsufficientMemory")
    world.api.delete({"apiVersion": "v1", "kind": "Pod", "metadata": first["metadata"]})
    world.bound(second, timeout_s=60)
