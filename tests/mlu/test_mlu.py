"""Cambricon: cards from capacity, memory in pieces of 256 MiB, an instance profile for the device plugin."""

from __future__ import annotations

import pytest
from tests.vendors import admit, annotations_of, card, devices, loaded, request

import hami_mlu
from hami_core.errors import BadConfig, BadWire
from hami_core.objects import NodeFacts

COUNT, MEMORY, CORES = "cambricon.com/vmlu", "cambricon.com/mlu.smlu.vmemory", "cambricon.com/mlu.smlu.vcore"


@pytest.fixture
def mlu():
    return loaded(hami_mlu, "MLU")


def node(cores: str, memory: str, **labels: str) -> NodeFacts:
    return NodeFacts(name="n1", labels=labels, capacity={CORES: cores, MEMORY: memory})


def test_cards_are_counted_from_the_capacity_of_cores_and_share_the_memory(mlu) -> None:
    cards = devices(mlu, node("800", "1536"))
    assert [item.uuid for item in cards] == [f"n1-cambricon-mlu-{index}" for index in range(8)]
    assert {(item.memory_mib, item.core_units, item.slots, item.model) for item in cards} == {(49_152, 100, 100, "MLU")}


def test_a_started_card_counts_as_a_card(mlu) -> None:
    assert [item.memory_mib for item in devices(mlu, node("1", "1"))] == [25_600]


def test_the_device_plugins_label_tells_the_model(mlu) -> None:
    assert [item.model for item in devices(mlu, node("100", "96", Model="MLU370-X8"))] == ["MLU370-X8"]


def test_a_label_of_another_vendor_is_no_model(mlu) -> None:
    assert [item.model for item in devices(mlu, node("100", "96", Model="PowerEdge"))] == ["MLU"]


def test_a_node_without_mlus_has_no_cards(mlu) -> None:
    assert devices(mlu, NodeFacts(name="n1")) == ()


def test_a_malformed_capacity_names_the_node_and_the_resource(mlu) -> None:
    with pytest.raises(BadWire, match=r"node n1.*cambricon\.com/mlu\.smlu\.vcore"):
        devices(mlu, node("many", "96"))


def test_memory_is_asked_for_in_pieces_of_256_mib(mlu) -> None:
    asked = request(mlu, {COUNT: "1", MEMORY: "1k", CORES: "2"})
    assert (asked.memory_mib, asked.memory_percent, asked.core_units) == (256_000, None, 2)


def test_a_request_for_a_count_alone_takes_the_whole_card(mlu) -> None:
    asked = request(mlu, {COUNT: "1"})
    assert (asked.memory_mib, asked.memory_percent, asked.core_units) == (None, 100, 100)


def test_admission_finds_the_container_and_changes_nothing(mlu) -> None:
    edits = admit(mlu, {COUNT: "1"})
    assert (edits.found, dict(edits.limits), dict(edits.env)) == (True, {}, {})


def test_the_profile_is_of_the_first_card_of_the_first_container_that_has_one(mlu) -> None:
    cards = [card(mlu.family, "a", 0), card(mlu.family, "b", 3)]
    assert annotations_of(mlu, cards, [], [("b", 10_240, 50), ("a", 256, 1)]) == {
        "CAMBRICON_DSMLU_PROFILE": "3_50_40",
        "CAMBRICON_DSMLU_ASSIGNED": "false",
    }


def test_a_pod_without_mlus_gets_no_profile(mlu) -> None:
    assert annotations_of(mlu, [], []) == {}


def test_the_resources_can_be_renamed() -> None:
    family = loaded(hami_mlu, "MLU", "cambricon: {resourceCountName: cambricon.com/mlu}").family
    assert (family.resources.count, family.resources.memory) == ("cambricon.com/mlu", MEMORY)


def test_a_misspelt_setting_is_refused_with_the_right_one() -> None:
    with pytest.raises(BadConfig, match="did you mean resourceCountName"):
        loaded(hami_mlu, "MLU", "cambricon: {resourceCount: cambricon.com/mlu}")
