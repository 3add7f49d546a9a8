"""What the agent writes on its node: its own keys, when they differ, never over a newer version."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from aiohttp import web
from tests.kube.fake_api import FakeApi, fake_api
from tests.kube.loop import in_loop

import hami_dcu
import hami_nvidia
from hami_core.errors import ApiFailed
from hami_core.kube.api import ApiServer
from hami_core.model import Device
from hami_core.node.registration import Registration, wanted_annotations
from hami_core.objects import NodeFacts
from hami_core.registry import load_registry

from .world import NODE

REGISTER = "hami.io/node-nvidia-register"
HANDSHAKE = "hami.io/node-handshake"
NOW = datetime(2026, 8, 21, 6, 20, 39, tzinfo=UTC)
REGISTRY = load_registry(plugins=[hami_nvidia, hami_dcu])
CARD = Device(uuid="GPU-a", family="NVIDIA", model="NVIDIA A40", memory_mib=46068, slots=10, mode="hami-core")


def wanted(*devices: Device, late: bool = True, **annotations: str) -> dict[str, str | None]:
    node = NodeFacts(name="n1", annotations={f"hami.io/{key}": text for key, text in annotations.items()})
    return wanted_annotations(devices, node, REGISTRY, late=late, now=NOW)


def registration(api: ApiServer) -> Registration:
    return Registration(api, "n1", REGISTRY, late=True)


async def a_node(cluster: FakeApi, **annotations: str) -> None:
    await cluster.put(NODE, {"kind": "Node", "metadata": {"name": "n1", "annotations": annotations}})


def test_a_question_of_the_scheduler_is_answered_and_an_answer_is_left_alone() -> None:
    told = wanted(CARD, **{"node-handshake": "Requesting_2026-08-21 06:20:00"})
    assert told[HANDSHAKE] == "Reported_2026-08-21 06:20:39"
    assert HANDSHAKE not in wanted(CARD, **{"node-handshake": "Reported_2026-08-21 06:20:39"})


def test_cards_that_another_agent_allocates_keep_the_lock_on() -> None:
    theirs = {"node-dcu-register": "DCU-0,4,1000,60,DCU,0,true,0,hami-core:"}
    assert wanted(CARD, **theirs).keys() == {REGISTER}
    assert wanted(CARD, **theirs, binding="late")["hami.io/binding"] is None


def test_without_cards_nothing_is_written() -> None:
    assert wanted() == {}


def test_an_agent_that_binds_the_old_way_takes_the_word_of_late_binding_back() -> None:
    assert "hami.io/binding" not in wanted(CARD, late=False)
    assert wanted(CARD, late=False, binding="late")["hami.io/binding"] is None


@in_loop
async def test_a_node_that_says_it_already_is_not_written_to() -> None:
    async with fake_api() as (cluster, api):
        await a_node(cluster)
        await registration(api).sync([CARD])
        assert len(cluster.writes()) == 1
        await registration(api).sync([CARD])
        assert len(cluster.writes()) == 1


@in_loop
async def test_an_annotation_that_somebody_deleted_comes_back() -> None:
    async with fake_api() as (cluster, api):
        await a_node(cluster)
        await registration(api).sync([CARD])
        await a_node(cluster)
        await registration(api).sync([CARD])
        assert json.loads(cluster.item(NODE)["metadata"]["annotations"][REGISTER])[0]["id"] == "GPU-a"


@in_loop
async def test_a_writer_that_came_in_between_is_not_undone() -> None:
    async with fake_api() as (cluster, api):
        await a_node(cluster)
        came = []

        async def meanwhile(method: str, path: str) -> web.Response | None:
            if method == "PATCH" and not came:
                came.append(path)
                await a_node(cluster, other="theirs")
            return None

        cluster.faults.append(meanwhile)
        await registration(api).sync([CARD])
        told = cluster.item(NODE)["metadata"]["annotations"]
        assert told["other"] == "theirs"
        assert REGISTER in told


@in_loop
async def test_a_failed_write_is_an_error_and_is_done_again_the_next_time() -> None:
    async with fake_api() as (cluster, api):
        await a_node(cluster)

        async def refuse(method: str, path: str) -> web.Response | None:
            return web.json_response({"message": "no"}, status=403) if method == "PATCH" else None

        cluster.faults.append(refuse)
        with pytest.raises(ApiFailed):
            await registration(api).sync([CARD])
        cluster.faults.clear()
        await registration(api).sync([CARD])
        assert REGISTER in cluster.item(NODE)["metadata"]["annotations"]
