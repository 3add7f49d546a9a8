"""The leader dies at each step of a bind, the write of that step carried out or not: the pod gets its share, once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.cluster.api import Object
from tests.cluster.install import LEASE
from tests.cluster.interceptor import Interceptor, Request, is_binding
from tests.cluster.world import World, gpu_node

ASKS = {"nvidia.com/gpu": 1, "nvidia.com/gpumem": 10000}


def _annotations(item: Object | None) -> dict[str, str]:
    found: dict[str, str] = ((item or {}).get("metadata") or {}).get("annotations") or {}
    return found


def _locks(request: Request) -> bool:
    return request["kind"]["kind"] == "Node" and "hami.io/mutex.lock" in _annotations(request["object"])


def _annotates(request: Request) -> bool:
    return request["kind"]["kind"] == "Pod" and "hami.io/vgpu-node" in _annotations(request["object"])


STEPS = {
    "lock": ("one", _locks),
    "binding": ("one", is_binding),
    "annotations": ("two", _annotates),
    "binding-of-two-writes": ("two", is_binding),
}


@pytest.fixture
def binds_in(world: World) -> Iterator[Callable[[str], None]]:
    """Has the scheduler bind in so many writes, for one test."""
    scheduler = world.installation.scheduler
    argv = list(scheduler.argv)

    def use(writes: str) -> None:
        scheduler.stop()
        scheduler.argv.append(f"--bind-writes={writes}")
        world.installation.start_scheduler()

    yield use
    scheduler.argv[:] = argv
    scheduler.stop()
    world.installation.start_scheduler()


@pytest.mark.parametrize("carried_out", [True, False], ids=["carried-out", "lost"])
@pytest.mark.parametrize("step", STEPS)
def test_a_leader_that_dies_at_this_step_loses_nothing_and_gives_nothing_twice(
    world: World, interceptor: Interceptor, binds_in: Callable[[str], None], step: str, carried_out: bool
) -> None:
    scheduler = world.installation.scheduler
    writes, is_step = STEPS[step]
    binds_in(writes)

    def die(request: Request) -> bool | None:
        if not is_step(request):
            return None
        scheduler.kill()
        return carried_out

    world.add_node(gpu_node("steps", memory_mib=16384, late=False))
    world.start_device_plugin()
    interceptor.expect(die)

    first = world.api.create(world.pod("first", ASKS))
    assert interceptor.acted.wait(60)
    world.api.delete(LEASE)  # as if its time had run out
    world.installation.start_scheduler()

    first = world.bound(first, timeout_s=60)
    assert [memory_mib for shares in world.holdings().values() for _, memory_mib, _ in shares] == [10000]
    second = world.api.create(world.pod("second", ASKS))
    world.unschedulable(second, "CardInsufficientMemory")
    world.api.delete({"apiVersion": "v1", "kind": "Pod", "metadata": first["metadata"]})
    world.bound(second, timeout_s=60)
