"""Node registers: both forms, both ways, and refusals that name the device and the field."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from hypothesis import given

from hami_core.errors import BadWire
from hami_core.family import Family, RegisterForm, Resources, Units, WireNames
from hami_core.model import Device, PartitionPlacement, PartitionProfile
from hami_core.objects import NodeFacts
from hami_core.wire.register import decode_csv, decode_json, encode_csv, encode_json, table_codec

from .values import FAMILY, devices

GOLDEN = Path(__file__).parents[1] / "golden" / "register"
A40 = Device(
    uuid="GPU-3f1c", family=FAMILY, model="NVIDIA-NVIDIA A40", memory_mib=46068, slots=10, numa=1, mode="hami-core"
)
A100_MIG = Device(
    uuid="GPU-77aa",
    family=FAMILY,
    model="NVIDIA A100-SXM4-40GB",
    index=1,
    memory_mib=40960,
    slots=7,
    mode="mig",
    healthy=False,
    profiles=(
        PartitionProfile(
            name="1g.5gb",
            memory_mib=5120,
            core_units=14,
            slice_count=1,
            placements=(PartitionPlacement(start=0, size=1), PartitionPlacement(start=6, size=1)),
        ),
    ),
)


def family(**wire: object) -> Family:
    names = WireNames(register="hami.io/node-x-register", allocated="hami.io/x-allocated", **wire)  # type: ignore[arg-type]
    return Family(name="X", vendor="x", resources=Resources(count="x.com/card"), wire=names)


@given(devices(with_profiles=True))
def test_what_is_written_as_json_is_read_back(cards: list[Device]) -> None:
    assert tuple(cards) == decode_json(encode_json(cards), family=FAMILY, what="node n")


@given(devices(with_profiles=False).filter(len))
def test_what_is_written_as_csv_is_read_back(cards: list[Device]) -> None:
    assert tuple(cards) == decode_csv(encode_csv(cards), family=FAMILY, what="node n")


def test_the_json_form_is_the_one_that_hamis_scheduler_reads() -> None:
    assert (GOLDEN / "two-cards.json").read_text(encoding="utf-8").rstrip("\n") == encode_json([A40, A100_MIG])


def test_the_csv_form_is_the_one_that_hamis_scheduler_reads() -> None:
    cards = [A40, attrs.evolve(A100_MIG, profiles=())]
    assert (GOLDEN / "two-cards.csv").read_text(encoding="utf-8").rstrip("\n") == encode_csv(cards)


def test_facts_of_the_vendors_own_travel_as_custominfo_where_the_vendor_writes_them() -> None:
    card = attrs.evolve(A40, custom={"NetworkID": 0})
    assert '"custominfo":{"NetworkID":0}' in encode_json([card], custom=True)
    assert "custominfo" not in encode_json([card])
    assert (card,) == decode_json(encode_json([card], custom=True), family=FAMILY, what="node n")


def test_a_zero_that_was_left_out_is_a_zero() -> None:
    (card,) = decode_json('[{"id":"GPU-1"}]', family=FAMILY, what="node n")
    assert card == Device(
        uuid="GPU-1", family=FAMILY, model="", memory_mib=0, core_units=0, slots=0, healthy=False, mode=""
    )


def test_keys_match_in_any_case_and_unknown_ones_do_not_matter() -> None:
    (card,) = decode_json('[{"ID":"GPU-1","Devmem":5,"devicepairscore":{}}]', family=FAMILY, what="node n")
    assert (card.uuid, card.memory_mib) == ("GPU-1", 5)


def test_the_short_csv_form_means_index_0_and_hami_core() -> None:
    (card,) = decode_csv("GPU-1,10,7680,100,Tesla P4,0,t:", family=FAMILY, what="node n")
    assert (card.index, card.mode, card.healthy) == (0, "hami-core", True)


@pytest.mark.parametrize("text", [":", "::"])
def test_colons_alone_are_no_cards(text: str) -> None:
    assert decode_csv(text, family=FAMILY, what="node n") == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "node n: has no ':' after a device"),
        ("garbage:", "node n, device 1: has 1 fields, not 7 or 9"),
        ("a,1,1,1,m,0,true:b,x,1,1,m,0,true:", 'node n, device 2, field count: must be a whole number, .*; got "x"'),
        ("a,1,1,1,m,0,true,-1,mig:", "device 1, field index: .*-1"),
        ("a,1,2147483648,1,m,0,true:", "field devmem"),
        ("a,1,1,\u0661,m,0,true:", "field devcore"),
        ("a,1,1,1,m,0,yes:", "field health: must be true or false"),
        (",1,1,1,m,0,true:", "field id: must not be empty"),
        ("a,1,1,1,m,0,true:a,1,1,1,m,0,true:", 'device 2: id "a" is registered twice'),
    ],
)
def test_a_malformed_csv_register_is_refused_with_the_device_and_the_field(text: str, message: str) -> None:
    with pytest.raises(BadWire, match=message):
        decode_csv(text, family=FAMILY, what="node n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not json", "node n: is not JSON"),
        ('{"id":"a"}', "must be a JSON array"),
        ("[1]", "device 1: must be a JSON object"),
        ('[{"id":"a"},{"count":1}]', "device 2, field id: must be a string, not empty"),
        ('[{"id":"a","devmem":1.5}]', "device 1, field devmem: must be a whole number"),
        ('[{"id":"a","devmem":true}]', "field devmem"),
        ('[{"id":"a","devmem":-1}]', "field devmem"),
        ('[{"id":"a","health":"true"}]', "field health: must be true or false"),
        ('[{"id":"a","migProfiles":{}}]', "field migProfiles: must be a JSON array"),
        ('[{"id":"a","migProfiles":[{"name":"1g","memoryMB":0}]}]', r"migProfiles\[0\], field memoryMB: must be 1"),
        ('[{"id":"a"},{"id":"a"}]', 'device 2: id "a" is registered twice'),
    ],
)
def test_a_malformed_json_register_is_refused_with_the_device_and_the_field(text: str, message: str) -> None:
    with pytest.raises(BadWire, match=message):
        decode_json(text, family=FAMILY, what="node n")


def test_csv_cannot_carry_its_own_marks() -> None:
    with pytest.raises(BadWire, match="field type: must not contain"):
        encode_csv([attrs.evolve(A40, model="a,b")])


def test_a_node_without_the_annotation_has_no_cards_of_the_family() -> None:
    assert table_codec(family()).decode(NodeFacts(name="n")) == ()


def test_a_malformed_annotation_names_the_node_and_the_key() -> None:
    node = NodeFacts(name="n7", annotations={"hami.io/node-x-register": "x:"})
    with pytest.raises(BadWire, match=r"^node n7: annotation hami.io/node-x-register, device 1"):
        table_codec(family(register_form=RegisterForm.CSV)).decode(node)


def by_capacity() -> Family:
    return attrs.evolve(
        family(register_form=RegisterForm.CAPACITY),
        resources=Resources(count="x.com/card", memory="x.com/mem", cores="x.com/core"),
        units=Units(memory_unit_mib=256, cores_per_card=100),
    )


def test_capacity_becomes_one_card_per_started_card_of_cores() -> None:
    cards = table_codec(by_capacity()).decode(NodeFacts(name="n", capacity={"x.com/mem": "150", "x.com/core": "150"}))
    assert [(card.uuid, card.index, card.memory_mib, card.core_units) for card in cards] == [
        ("n-x-0", 0, 25600, 100),
        ("n-x-1", 1, 25600, 100),
    ]


@pytest.mark.parametrize("value", ["many", "-1", "1.5", "9000000000"])
def test_an_impossible_capacity_is_refused(value: str) -> None:
    with pytest.raises(BadWire, match=r"node n: status\.capacity x.com/core"):
        table_codec(by_capacity()).decode(NodeFacts(name="n", capacity={"x.com/core": value}))


def test_a_register_goes_before_capacity_where_a_family_has_both() -> None:
    codec = table_codec(by_capacity())
    capacity = {"x.com/mem": "300", "x.com/core": "300"}
    annotations = {"hami.io/node-x-register": encode_json([A40])}
    assert [card.uuid for card in codec.decode(NodeFacts(name="n", capacity=capacity))] == ["n-x-0", "n-x-1", "n-x-2"]
    assert [card.uuid for card in codec.decode(NodeFacts(name="n", capacity=capacity, annotations=annotations))] == [
        A40.uuid
    ]
