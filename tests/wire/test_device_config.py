"""device-config.yaml: typed by each vendor, refused with the line."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Annotated

import msgspec
import pytest

from hami_core.errors import BadConfig
from hami_core.wire.device_config import ConfigSections


class Model(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    chip_name: str
    templates: tuple[str, ...] = ()


class Acme(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    resource_count_name: str = "acme.com/card"
    default_memory: Annotated[int, msgspec.Meta(ge=0)] = 0
    models: tuple[Model, ...] = ()


def test_a_section_has_its_vendors_type() -> None:
    config = ConfigSections.parse("acme: {resourceCountName: x.com/card, models: [{chipName: A1}]}\nother: {}\n")
    assert config.section("acme", Acme) == Acme(resource_count_name="x.com/card", models=(Model(chip_name="A1"),))


@pytest.mark.parametrize("text", ["other: {a: 1}", "acme:", "acme: {}"])
def test_an_absent_or_empty_section_is_the_vendors_defaults(text: str) -> None:
    assert ConfigSections.parse(text).section("acme", Acme) == Acme()


def test_no_file_is_everyones_defaults() -> None:
    assert ConfigSections.empty().section("acme", Acme) == Acme()
    assert ConfigSections.empty().entries("chips", Model) is None


def test_a_list_section_is_a_tuple_of_entries() -> None:
    config = ConfigSections.parse("chips:\n- {chipName: A}\n- {chipName: B, templates: [x]}\n")
    assert config.entries("chips", Model) == (Model(chip_name="A"), Model(chip_name="B", templates=("x",)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "acme:\n  resourceCountNam: x",
            "line 2, acme.resourceCountNam: is not a setting; did you mean resourceCountName",
        ),
        ("acme:\n  zzz: x", "line 2, acme.zzz: is not a setting; known: chipName, defaultMemory, models"),
        (
            "acme:\n  models:\n  - chipName: A\n  - chipNam: B",
            r"line 4, acme.models\[1\].chipNam: .*did you mean chipName",
        ),
        ("acme:\n  models:\n  - {}", r"line 3, acme.models\[0\]: Object missing required field `chipName`"),
        ("a: 1\nacme:\n  defaultMemory: much", "line 3, acme.defaultMemory: must be int; got str"),
        ("acme:\n  defaultMemory: -1", "line 2, acme.defaultMemory: must be int >= 0"),
        ("acme: 3", "line 1, acme: must be a mapping of settings; got 3"),
        ("acme:\n  models: [{chipName: A}]\n  models: []", "line 3, acme.models: is given twice"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(BadConfig, match=f"^f.yaml: {message}"):
        ConfigSections.parse(text, file="f.yaml").section("acme", Acme)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must map vendor sections such as nvidia: to their settings; got None"),
        ("[]", r"must map vendor sections .*; got \[\]"),
        ("a: [", r"line \d: is not YAML"),
        ("a: !!python/object:os.system {}", "line 1: is not YAML: could not determine a constructor"),
        ("a: *b", "line 1: is not YAML: found undefined alias"),
        ("a: \x00", "is not YAML: unacceptable character"),
    ],
)
def test_what_is_no_configuration_is_refused(text: str, message: str) -> None:
    with pytest.raises(BadConfig, match=f"^device-config.yaml: {message}"):
        ConfigSections.parse(text)


def test_a_list_section_must_be_a_list() -> None:
    with pytest.raises(BadConfig, match="line 1, chips: must be a list of entries; got 3"):
        ConfigSections.parse("chips: 3").entries("chips", Model)


def test_aliases_upon_aliases_are_walked_once() -> None:
    names = [f"k{i}" for i in range(60)]
    lines = [f"{name}: &{name} [{', '.join(['*' + before] * 9)}]" for before, name in itertools.pairwise(names)]
    config = ConfigSections.parse("\n".join(["k0: &k0 [1]", *lines]))
    assert set(config.sections) == set(names)


def test_a_file_is_read_and_named_in_messages(tmp_path: Path) -> None:
    path = tmp_path / "device-config.yaml"
    path.write_text("acme: {defaultMemory: 5}", encoding="utf-8")
    config = ConfigSections.load(path)
    assert config.section("acme", Acme) == Acme(default_memory=5)
    assert str(config.bad(("acme",), "is odd")) == f"{path}: line 1, acme: is odd"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"none\.yaml: cannot be read: No such file"):
        ConfigSections.load(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    with pytest.raises(BadConfig, match=r"latin\.yaml: cannot be read: is not UTF-8 text"):
        ConfigSections.load(tmp_path / "latin.yaml")
