"""Hygon: the common table rules under Hygon's names, with a CSV register."""

from __future__ import annotations

import pytest
from tests.vendors import admit, devices, loaded, request

import hami_dcu
from hami_core.errors import BadQuantity, BadWire
from hami_core.objects import NodeFacts

COUNT, MEMORY, CORES = "hygon.com/dcunum", "hygon.com/dcumem", "hygon.com/dcucores"


@pytest.fixture
def dcu():
    return loaded(hami_dcu, "DCU")


def node(register: str) -> NodeFacts:
    return NodeFacts(name="n1", annotations={"hami.io/node-dcu-register": register})


def test_cards_come_from_the_csv_register(dcu) -> None:
    (card,) = devices(dcu, node("DCU-a,4,32768,60,DCU-Z100,1,true,2,hami-core:"))
    assert (card.uuid, card.slots, card.memory_mib, card.core_units) == ("DCU-a", 4, 32_768, 60)
    assert (card.model, card.numa, card.index, card.mode, card.family) == ("DCU-Z100", 1, 2, "hami-core", "DCU")


def test_a_malformed_register_says_which_device_and_field(dcu) -> None:
    with pytest.raises(BadWire, match=r"node n1.*device 1, field devmem"):
        devices(dcu, node("DCU-a,4,lots,60,DCU-Z100,1,true,2,hami-core:"))


def test_a_request_without_cores_takes_all_of_them(dcu) -> None:
    asked = request(dcu, {COUNT: "2", MEMORY: "2000"})
    assert (asked.count, asked.memory_mib, asked.core_units) == (2, 2_000, 100)


def test_memory_is_multiplied_by_the_configured_factor() -> None:
    family = loaded(hami_dcu, "DCU", "hygon: {memoryFactor: 1024}")
    assert request(family, {COUNT: "1", MEMORY: "2"}).memory_mib == 2_048
    assert family.family.units.quota_factor == 1_024


def test_a_factor_of_0_is_as_1() -> None:
    assert request(loaded(hami_dcu, "DCU", "hygon: {memoryFactor: 0}"), {COUNT: "1", MEMORY: "2"}).memory_mib == 2


def test_memory_in_bytes_is_refused_with_what_to_write(dcu) -> None:
    with pytest.raises(BadQuantity, match=r"pod default/p, container c: hygon\.com/dcumem .*write 16384"):
        request(dcu, {COUNT: "1", MEMORY: "16Gi"})


def test_admission_finds_the_container_and_changes_nothing(dcu) -> None:
    edits = admit(dcu, {COUNT: "1"})
    assert (edits.found, dict(edits.limits), dict(edits.env)) == (True, {}, {})


def test_cards_can_be_chosen_by_type_and_by_uuid(dcu) -> None:
    keys = dcu.family.selectors
    assert (keys.allow_types, keys.deny_types) == ("hygon.com/use-dcutype", "hygon.com/nouse-dcutype")
    assert (keys.allow_uuids, keys.deny_uuids) == ("hygon.com/use-gpuuuid", "hygon.com/nouse-gpuuuid")
