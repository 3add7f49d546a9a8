"""What a node says of its cards' health, and who is moved off a card that stays out of order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from tests.kube.fake_api import FakeApi, Object, fake_api, until
from tests.kube.loop import in_loop

import hami_nvidia
from hami_core.kube.api import ApiServer
from hami_core.kube.events import Events
from hami_core.model import Device
from hami_core.node.discovery import Change
from hami_core.node.eviction import EVICTED, evict, holders
from hami_core.node.health import Condition, Health, overdue
from hami_core.node.settings import TaintWhen
from hami_core.node.telling import Telling
from hami_core.objects import PodFacts
from hami_core.registry import load_registry

from .world import NODE, pod_at

CARDS = [Device(uuid=f"GPU-{name}", family="NVIDIA", model="NVIDIA A40", memory_mib=46068) for name in "ab"]
SICK = Health(under=Condition.UNHEALTHY, note="Xid 79", since_s=100.0, out_since_s=100.0)
REGISTRY = load_registry(plugins=[hami_nvidia])
KUBELETS = {"type": "Ready", "status": "True"}


@contextlib.asynccontextmanager
async def a_node(taint: TaintWhen = TaintWhen.NEVER) -> AsyncIterator[tuple[FakeApi, ApiServer, Telling, Events]]:
    async with fake_api() as (cluster, api):
        node: Object = {"kind": "Node", "metadata": {"name": "n1"}, "spec": {}, "status": {"conditions": [KUBELETS]}}
        await cluster.put(NODE, node)
        events = Events(api, component="hami-node-agent")
        writing = asyncio.create_task(events.run())
        yield cluster, api, Telling(api, events, "n1", taint=taint), events
        writing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await writing


def conditions(cluster: FakeApi) -> dict[str, Object]:
    return {each["type"]: each for each in cluster.item(NODE)["status"]["conditions"]}


def taints(cluster: FakeApi) -> list[Object]:
    found: list[Object] = cluster.item(NODE)["spec"].get("taints", [])
    return found


@in_loop
async def test_the_condition_names_the_sick_cards_and_leaves_kubelets_own_alone() -> None:
    async with a_node() as (cluster, _, telling, _events):
        await telling.show(CARDS, {"GPU-b": SICK})
        shown = conditions(cluster)
        assert shown["Ready"] == KUBELETS
        assert shown["hami.io/NVIDIA-healthy"]["status"] == "False"
        assert shown["hami.io/NVIDIA-healthy"]["message"] == "GPU-b unhealthy: Xid 79"
        await telling.show(CARDS, {})
        assert conditions(cluster)["hami.io/NVIDIA-healthy"]["status"] == "True"


@in_loop
async def test_what_stands_already_is_not_written_again() -> None:
    async with a_node() as (cluster, _, telling, _events):
        await telling.show(CARDS, {})
        written = len(cluster.writes())
        await telling.show(CARDS, {})
        assert len(cluster.writes()) == written == 1


@in_loop
async def test_a_new_agent_keeps_the_time_since_which_the_condition_holds() -> None:
    async with a_node() as (cluster, api, telling, events):
        await telling.show(CARDS, {})
        since = "2020-01-01T00:00:00Z"
        conditions(cluster)["hami.io/NVIDIA-healthy"]["lastTransitionTime"] = since
        await Telling(api, events, "n1", taint=TaintWhen.NEVER).show(CARDS, {})
        assert conditions(cluster)["hami.io/NVIDIA-healthy"]["lastTransitionTime"] == since


@in_loop
async def test_a_cordon_is_no_complaint() -> None:
    async with a_node(TaintWhen.ANY) as (cluster, _, telling, _events):
        await telling.show(CARDS, {"GPU-a": Health(cordoned=True)})
        assert conditions(cluster)["hami.io/NVIDIA-healthy"]["message"] == "2 cards are well, 1 of them cordoned"
        assert taints(cluster) == []


@pytest.mark.parametrize(("when", "one", "both"), [("never", 0, 0), ("any", 1, 1), ("all", 0, 1)])
@in_loop
async def test_the_node_is_tainted_as_was_asked_for_and_other_taints_stay(when: str, one: int, both: int) -> None:
    async with a_node(TaintWhen(when)) as (cluster, _, telling, _events):
        theirs = {"key": "team", "value": "x", "effect": "NoExecute"}
        cluster.item(NODE)["spec"]["taints"] = [theirs]
        ours = {"key": "hami.io/NVIDIA-unhealthy", "effect": "NoSchedule"}
        await telling.show(CARDS, {"GPU-a": SICK})
        assert taints(cluster) == [theirs, *[ours] * one]
        await telling.show(CARDS, {"GPU-a": SICK, "GPU-b": SICK})
        assert taints(cluster) == [theirs, *[ours] * both]
        await telling.show(CARDS, {})
        assert taints(cluster) == [theirs]


@in_loop
async def test_an_agent_that_taints_no_more_takes_the_taint_of_the_last_one_off() -> None:
    async with a_node() as (cluster, _, telling, _events):
        cluster.item(NODE)["spec"]["taints"] = [{"key": "hami.io/NVIDIA-unhealthy", "effect": "NoSchedule"}]
        await telling.show(CARDS, {"GPU-a": SICK})
        assert taints(cluster) == []


@in_loop
async def test_every_change_is_an_event_also_the_same_one_again() -> None:
    async with a_node() as (cluster, _, telling, _events):
        sick = Change(uuid="GPU-a", before=Condition.HEALTHY, health=SICK)
        well = Change(uuid="GPU-a", before=Condition.RECOVERING, health=Health())
        telling.changed([sick, well, sick])
        await until(lambda: len(cluster.events) == 3)
        assert sorted(event["reason"] for event in cluster.events) == ["CardHealthy", "CardUnhealthy", "CardUnhealthy"]
        (first,) = {event["message"] for event in cluster.events if event["type"] == "Warning"}
        assert first == "card GPU-a is unhealthy, was healthy: Xid 79"
        assert cluster.events[0]["involvedObject"] == {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "n1"}


def holder(name: str, uuid: str, **facts: object) -> PodFacts:
    annotations = {"hami.io/vgpu-node": "n1", "hami.io/vgpu-devices-allocated": f"{uuid},NVIDIA,3000,30:;"}
    return PodFacts(namespace="team", name=name, uid=f"uid-{name}", annotations=annotations, **facts)  # type: ignore[arg-type]  # fields of PodFacts


def test_only_pods_on_the_card_that_do_not_end_by_themselves_are_moved() -> None:
    pods = [holder("a", "GPU-a"), holder("b", "GPU-b"), holder("c", "GPU-b", deleting=True)]
    pods += [holder("d", "GPU-b", phase="Succeeded"), PodFacts(name="e")]
    assert [(pod.name, uuid) for pod, uuid in holders(pods, ["GPU-b"], REGISTRY)] == [("b", "GPU-b")]


def test_a_card_is_overdue_after_its_time_and_a_cordon_alone_never_makes_it_so() -> None:
    health = {"GPU-a": SICK, "GPU-b": Health(cordoned=True, since_s=0.0)}
    assert set(overdue(health, now_s=159.0, after_s=60.0)) == set()
    assert set(overdue(health, now_s=160.0, after_s=60.0)) == {"GPU-a"}


@in_loop
async def test_an_eviction_goes_through_the_api_and_its_owner_is_told() -> None:
    async with a_node() as (cluster, api, _telling, events):
        pod = holder("a", "GPU-a")
        await cluster.put(pod_at("a"), {"kind": "Pod", "metadata": {"name": "a", "uid": "uid-a"}})
        assert await evict(api, events, pod, "card GPU-a: Xid 79")
        assert pod_at("a") not in cluster.objects
        await until(lambda: cluster.events)
        assert (cluster.events[0]["reason"], cluster.events[0]["message"]) == (EVICTED, "card GPU-a: Xid 79")


@in_loop
async def test_a_budget_that_says_no_leaves_the_pod_for_the_next_round() -> None:
    async with a_node() as (cluster, api, _telling, events):

        async def budget(method: str, path: str) -> web.Response | None:
            return web.json_response({"message": "the budget"}, status=429) if path.endswith("/eviction") else None

        await cluster.put(pod_at("a"), {"kind": "Pod", "metadata": {"name": "a", "uid": "uid-a"}})
        cluster.faults.append(budget)
        assert not await evict(api, events, holder("a", "GPU-a"), "sick")
        assert pod_at("a") in cluster.objects
