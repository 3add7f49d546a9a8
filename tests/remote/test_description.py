"""The tables of a plugin: versions, names, families, and the file that carries them to schedulers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.remote.vendor import description, family

from hami_core.errors import PluginFault
from hami_core.family import Resources, WireNames
from hami_core.remote.description import described, read_table, table_text
from hami_core.remote.places import Place, place_of
from hami_core.remote.plugin.v1 import plugin_pb2 as pb

NOWHERE = place_of("borealis", {"HAMI_PLUGIN_SOCKETS": "/none", "HAMI_PLUGIN_TABLES": "/none"})


def test_a_family_is_what_its_message_says_and_the_tables_defaults_where_it_says_nothing() -> None:
    known = described(description(), NOWHERE, where="here")
    (made,) = known.families
    assert (made.name, made.vendor) == ("BOREALIS", "borealis")
    assert made.resources == Resources(count="borealis.test/borealis", memory="borealis.test/mib")
    assert made.wire == WireNames(register="borealis.test/register", allocated="borealis.test/allocated")
    assert (made.units.memory_unit_mib, made.units.cores_per_card, made.cards_per_pod) == (1, 100, None)
    assert (known.can_probe, known.can_allocate, known.can_watch) == (True, True, True)


def test_abilities_that_are_not_named_are_not_there() -> None:
    known = described(description(capabilities=[pb.CAPABILITY_PROBE]), NOWHERE, where="here")
    assert (known.can_probe, known.can_allocate, known.can_watch) == (True, False, False)


def test_abilities_of_later_versions_are_ignored() -> None:
    assert described(description(capabilities=[1, 99]), NOWHERE, where="here").can_probe


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"api": pb.ApiVersion(major=2, minor=1)}, "here: speaks plugin API 2.1, and this is 1.0; install a version"),
        ({"api": pb.ApiVersion(major=1, minor=7)}, "here: needs plugin API 1.7, and this is 1.0; upgrade HAMi"),
        ({"api": None}, "here: names no API version; set api to 1.0"),
        ({"name": "other"}, 'here: calls itself "other"; it must be named as its file is'),
        ({"families": [family(), family()]}, 'has the family "BOREALIS" twice'),
        ({"families": [family("")]}, "families[0]: Object missing required field `name`"),
        ({"families": [family(units=pb.Units(memory_unit_mib=0))]}, "families[0] (BOREALIS): Units.memory_unit_mib"),
        ({"families": [family(units=pb.Units(default_cores=-1))]}, "Units.default_cores must be 0 or more; got -1"),
        ({"families": [family(wire=pb.WireNames())]}, "families[0] (BOREALIS)"),
        ({"families": [family(wire=pb.WireNames(allocated="a/b", register_form="xml"))]}, "Invalid enum value 'xml'"),
        ({"families": [family(f"F{number}") for number in range(65)]}, "has 65 families; 64 are the most"),
    ],
)
def test_what_is_no_description_is_refused_with_its_place(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(PluginFault) as caught:
        described(description(**changes), NOWHERE, where="here")
    assert said in str(caught.value)


def test_the_file_says_what_the_socket_says(place: Place, environ: dict[str, str]) -> None:
    asked = description(families=[family(units=pb.Units(default_count=1, cores_per_card=16))])
    table = place.socket.parent.parent / "tables" / "borealis.json"
    table.write_text(table_text(asked), encoding="utf-8")
    read = read_table(place_of("borealis", environ), table)
    assert read == described(asked, place, where="there")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "borealis.json: is not a description: "),
        ('{"name": "borealis", "familys": []}', 'no field named "familys"'),
        ('{"families": {}}', "write it with: hami plugins --table borealis"),
        ("[" * 5000, "is not a description"),
        ("\N{SNOWMAN}", "is not a description"),
    ],
)
def test_a_file_that_is_none_is_refused_with_how_to_write_one(place: Place, text: str, said: str) -> None:
    table = place.socket.parent / "borealis.json"
    table.write_text(text, encoding="utf-8")
    with pytest.raises(PluginFault) as caught:
        read_table(place, table)
    assert said in str(caught.value)


def test_a_file_that_cannot_be_read_is_said(place: Place) -> None:
    with pytest.raises(PluginFault, match=r"none\.json: cannot be read"):
        read_table(place, place.socket.parent / "none.json")


TEXT = st.text(max_size=20) | st.sampled_from(["a.b/c", "BOREALIS"])
NUMBER = st.none() | st.integers(-(2**31), 2**31 - 1)
FAMILIES = st.lists(
    st.builds(
        pb.Family,
        name=TEXT,
        cards_per_pod=NUMBER,
        resources=st.none() | st.builds(pb.Resources, count=TEXT, memory=st.none() | TEXT),
        wire=st.none() | st.builds(pb.WireNames, allocated=TEXT, register_form=st.none() | TEXT, lock=st.none() | TEXT),
        units=st.none() | st.builds(pb.Units, memory_unit_mib=NUMBER, cores_per_card=NUMBER, default_count=NUMBER),
        templates=st.lists(st.builds(pb.Template, name=TEXT, memory_mib=NUMBER, core_units=NUMBER), max_size=2),
    ),
    max_size=3,
)


@given(FAMILIES)
def test_tables_of_any_contents_are_families_or_refused_with_a_place(families: list[pb.Family]) -> None:
    try:
        known = described(description(families=families), NOWHERE, where="here")
    except PluginFault as err:
        outcome = str(err)
    else:
        outcome = f"plugin borealis: here: {len(known.families)}"
        assert [item.name for item in known.families] == [item.name for item in families]
    assert outcome.startswith("plugin borealis: here: ")
