"""What NVIDIA's driver reports by itself: a fatal Xid takes a card out at once, and a good card comes back."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from tests.kube.fake_api import until
from tests.kube.loop import in_loop

from hami_core.kube.cordoning import set_cordon
from hami_core.node.health import Condition, HealthRules

from .world import GPU, NODE, World, container, pod_at, world

_POST = """
import ctypes, sys, pynvml
pynvml.nvmlInit()
library = ctypes.CDLL("libnvidia-ml.so.1")
assert library.hami_fake_post_xid(int(sys.argv[1]), ctypes.c_uint64(int(sys.argv[2]))) == 0
"""


def post(here: World, card: int, xid: int) -> None:
    subprocess.run([sys.executable, "-c", _POST, str(card), str(xid)], env=here.environ, check=True, timeout=60)


def sick(here: World) -> set[str]:
    """Cards that kubelet must not give out."""
    return {name.rpartition("-")[0] for name, health in here.kubelet.devices(GPU).items() if health != "Healthy"}


def card(here: World, index: int) -> str:
    return here.agent.discovery.devices[index].uuid


async def fail(here: World, index: int) -> None:
    """Post a fatal Xid until it is known: what comes before the child waits for events is nobody's."""
    while card(here, index) not in sick(here):
        await asyncio.to_thread(post, here, index, 79)
        await asyncio.sleep(0.2)


@in_loop
async def test_a_fatal_xid_is_known_to_kubelet_and_the_scheduler_at_once(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.start(health=HealthRules(recovery_s=3600))
        first, second = card(here, 0), card(here, 1)
        await fail(here, 1)
        cards = json.loads(here.cluster.item(NODE)["metadata"]["annotations"]["hami.io/node-nvidia-register"])
        assert {entry["id"]: entry.get("health", False) for entry in cards} == {first: True, second: False}
        await until(lambda: [event for event in here.cluster.events if event["reason"] == "CardUnhealthy"])
        (condition,) = here.cluster.item(NODE)["status"]["conditions"]
        assert condition["status"] == "False"
        assert condition["message"].startswith(second)
        health = here.agent.discovery.health
        await asyncio.to_thread(post, here, 0, 31)
        await asyncio.to_thread(post, here, 1, 48)
        await until(lambda: health[second].note == "Xid 48", patience_s=30)
        assert health[first].condition is Condition.HEALTHY, "Xid 31 is the program's own fault"


@in_loop
async def test_a_card_that_stays_good_after_an_xid_returns_without_a_restart(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.start(health=HealthRules(recovery_s=3600))
        await fail(here, 1)
        here.agent.discovery.rules = HealthRules(recovery_s=0)
        await here.agent.refresh()
        await here.agent.refresh()
        await until(lambda: not sick(here))


@in_loop
async def test_pods_on_a_card_that_stays_out_of_order_are_evicted_where_that_is_wanted(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.start(health=HealthRules(recovery_s=3600), evict_after_s=0.0)
        await here.place("a", container("main"))
        here.environ["HAMI_FAKE_FAULTS"] = "nvmlDeviceGetMemoryInfo=15,nvmlDeviceGetMemoryInfo_v2=15"
        await here.agent.refresh()
        await until(lambda: pod_at("a") not in here.cluster.objects, patience_s=30)


@in_loop
async def test_a_fatal_xid_whose_card_answers_well_again_still_evicts_after_its_time(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        now_s = [1000.0]
        here.clock = lambda: now_s[0]
        await here.start(health=HealthRules(recovery_s=120), evict_after_s=60.0)
        await here.place("a", container("main", gpus=2))
        await fail(here, 1)
        health = here.agent.discovery.health
        await until(lambda: health[card(here, 1)].condition is Condition.RECOVERING)
        now_s[0] += 59
        await here.agent.refresh()
        assert pod_at("a") in here.cluster.objects
        now_s[0] += 1
        await here.agent.refresh()
        assert pod_at("a") not in here.cluster.objects


@in_loop
async def test_a_cordon_on_the_node_takes_the_card_from_kubelet_and_its_end_gives_it_back(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.start()
        uuid, _ = await set_cordon(here.api, "n1", card(here, 0), here.registry, on=True)
        await here.agent.refresh()
        await until(lambda: sick(here) == {uuid})
        await set_cordon(here.api, "n1", uuid, here.registry, on=False)
        await here.agent.refresh()
        await until(lambda: sick(here) == set())
