"""Moore Threads: totals over all cards, slices the driver can cut, one card a pod."""

from __future__ import annotations

import pytest
from tests.vendors import admit, annotations_of, card, devices, loaded, request

import hami_mthreads
from hami_core.errors import BadQuantity
from hami_core.objects import ContainerFacts, NodeFacts, PodFacts

COUNT, MEMORY, CORES = "mthreads.com/vgpu", "mthreads.com/sgpu-memory", "mthreads.com/sgpu-core"


@pytest.fixture
def mthreads():
    return loaded(hami_mthreads, "Mthreads")


def test_cards_are_counted_from_the_capacity_in_sixteenths(mthreads) -> None:
    cards = devices(mthreads, NodeFacts(name="n1", capacity={CORES: "64", MEMORY: "256"}))
    assert [item.uuid for item in cards] == [f"n1-mthreads-{index}" for index in range(4)]
    assert {(item.memory_mib, item.core_units, item.slots) for item in cards} == {(32_768, 16, 100)}


def test_memory_and_cores_are_for_all_cards_together(mthreads) -> None:
    asked = request(mthreads, {COUNT: "2", MEMORY: "192", CORES: "32"})
    assert (asked.count, asked.memory_mib, asked.core_units) == (2, 49_152, 16)


def test_several_cards_become_whole_cards_and_the_pod_says_how_many(mthreads) -> None:
    edits = admit(mthreads, {COUNT: "2", MEMORY: "2", CORES: "1"})
    assert dict(edits.limits) == {CORES: "32", MEMORY: "192"}
    assert dict(edits.pod_annotations) == {"mthreads.com/request-gpu-num": "2"}


def test_one_card_without_memory_becomes_a_whole_card(mthreads) -> None:
    edits = admit(mthreads, {COUNT: "1", CORES: "1"})
    assert (dict(edits.limits), dict(edits.pod_annotations)) == ({CORES: "16", MEMORY: "96"}, {})


@pytest.mark.parametrize("units", ["2", "4", "8", "16", "32", "64", "96"])
def test_a_slice_that_the_driver_can_cut_stays(mthreads, units: str) -> None:
    edits = admit(mthreads, {COUNT: "1", MEMORY: units})
    assert (edits.found, dict(edits.limits)) == (True, {})


@pytest.mark.parametrize("units", ["0", "1", "3", "97", "192"])
def test_a_slice_that_the_driver_cannot_cut_is_refused_with_the_list(mthreads, units: str) -> None:
    with pytest.raises(BadQuantity, match=r"sgpu-memory must be one of 2, 4, 8, 16, 32, 64, 96 \(units of 512 MiB\)"):
        admit(mthreads, {COUNT: "1", MEMORY: units})


@pytest.mark.parametrize("count", ["0", "-1"])
def test_a_count_below_one_is_refused(mthreads, count: str) -> None:
    with pytest.raises(BadQuantity, match="1 or more"):
        admit(mthreads, {COUNT: count})


def test_a_count_in_the_requests_alone_is_found(mthreads) -> None:
    container = ContainerFacts(name="c", requests={COUNT: "1"})
    edits = mthreads.admit(PodFacts(name="p", containers=(container,)), container)
    assert (edits.found, dict(edits.limits)) == (True, {CORES: "16", MEMORY: "96"})


def test_a_container_without_a_count_is_left_alone(mthreads) -> None:
    assert not admit(mthreads, {MEMORY: "2"}).found


def test_the_driver_finds_the_indexes_of_the_last_container_that_has_cards(mthreads) -> None:
    cards = [card(mthreads.family, "a", 0), card(mthreads.family, "b", 5)]
    assert annotations_of(mthreads, cards, [("a", 512, 1)], [("b", 512, 1), ("a", 512, 1)], []) == {
        "mthreads.com/gpu-index": "5,0",
        "mthreads.com/predicate-node": "n1",
        "mthreads.com/predicate-time": "1700000000123456789",
    }


def test_a_pod_without_cards_gets_no_indexes(mthreads) -> None:
    assert annotations_of(mthreads, [], []) == {}


def test_containers_of_a_pod_share_one_card_and_no_to_allocate_annotation_is_written(mthreads) -> None:
    assert mthreads.family.cards_per_pod == 1
    assert mthreads.family.wire.to_allocate is None
