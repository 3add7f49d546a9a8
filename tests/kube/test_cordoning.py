"""Cordons on nodes: one card among others' entries, over races, by the beginning of its UUID."""

from __future__ import annotations

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from tests.kube.fake_api import FakeApi, fake_api
from tests.kube.loop import in_loop

import hami_nvidia
from hami_core.errors import UnknownName
from hami_core.kube.cordoning import changed_cordon, set_cordon
from hami_core.registry import load_registry
from hami_core.wire.cordon import CORDON, decode_cordon

NODE = "/api/v1/nodes/n1"
REGISTRY = load_registry(plugins=[hami_nvidia])
REGISTER = '[{"id":"GPU-aa","count":10,"devmem":1,"health":true},{"id":"GPU-ab","count":10,"devmem":1,"health":true}]'
uuids = st.sampled_from(["GPU-a", "GPU-b", "GPU-c"])


async def a_node(cluster: FakeApi, cordon: str = "") -> None:
    annotations = {"hami.io/node-nvidia-register": REGISTER} | ({CORDON: cordon} if cordon else {})
    await cluster.put(NODE, {"kind": "Node", "metadata": {"name": "n1", "annotations": annotations}})


def cordon_of(cluster: FakeApi) -> str | None:
    found: str | None = cluster.item(NODE)["metadata"]["annotations"].get(CORDON)
    return found


@given(st.lists(uuids), uuids, st.booleans())
def test_the_text_changes_by_one_card_alone(before: list[str], uuid: str, on: bool) -> None:
    after = decode_cordon(changed_cordon(",".join(before), uuid, on=on))
    assert set(after) == (set(before) | {uuid} if on else set(before) - {uuid})
    assert len(after) == len(set(after))


@in_loop
async def test_a_cordon_and_its_end_leave_other_cordons_as_they_are() -> None:
    async with fake_api() as (cluster, api):
        await a_node(cluster, "GPU-gone, GPU-aa")
        assert await set_cordon(api, "n1", "GPU-ab", REGISTRY, on=True) == ("GPU-ab", True)
        assert cordon_of(cluster) == "GPU-gone,GPU-aa,GPU-ab"
        assert await set_cordon(api, "n1", "GPU-ab", REGISTRY, on=True) == ("GPU-ab", False)
        assert await set_cordon(api, "n1", "GPU-g", REGISTRY, on=False) == ("GPU-gone", True)
        assert await set_cordon(api, "n1", "GPU-aa", REGISTRY, on=False) == ("GPU-aa", True)
        assert await set_cordon(api, "n1", "GPU-ab", REGISTRY, on=False) == ("GPU-ab", True)
        assert cordon_of(cluster) is None


@in_loop
async def test_what_names_no_card_or_several_is_refused_and_changes_nothing() -> None:
    async with fake_api() as (cluster, api):
        await a_node(cluster)
        with pytest.raises(UnknownName, match='no single card of node n1 named "GPU-a"; known: GPU-aa, GPU-ab'):
            await set_cordon(api, "n1", "GPU-a", REGISTRY, on=True)
        with pytest.raises(UnknownName, match="no card of node n1"):
            await set_cordon(api, "n1", "MLU", REGISTRY, on=True)
        with pytest.raises(UnknownName, match="no node named"):
            await set_cordon(api, "n2", "GPU-aa", REGISTRY, on=True)
        assert cluster.writes() == []


@in_loop
async def test_two_operators_at_once_both_get_their_cordon() -> None:
    async with fake_api() as (cluster, api):
        await a_node(cluster)
        raced = False

        async def other(method: str, path: str) -> web.Response | None:
            nonlocal raced
            if method == "PATCH" and not raced:
                raced = True
                await a_node(cluster, "GPU-aa")
            return None

        cluster.faults.append(other)
        await set_cordon(api, "n1", "GPU-ab", REGISTRY, on=True)
        assert cordon_of(cluster) == "GPU-aa,GPU-ab"
