"""Nothing that people can set, read or be told is without a text, and no text is of something that is gone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import Enum
from typing import Any

import click
import pytest
from docs.generate import chart, commands, configuration, environment, events, hooks, keys, metrics, reasons
from tests.docs.pages import ROOT, blocks

from hami_core import hookspecs

_SCHEMA = json.loads(chart.VALUES.with_name("values.schema.json").read_text(encoding="utf-8"))


def test_a_value_of_the_chart_without_a_comment_is_an_error() -> None:
    with pytest.raises(LookupError, match=r"scheduler\.added"):
        list(chart.values(chart.VALUES.read_text(encoding="utf-8").replace("scheduler:\n", "scheduler:\n  added: 1\n")))


def test_comments_belong_to_the_value_beside_or_below_them() -> None:
    text = "# Of one.\none: 1\ntwo:\n  # Of three,\n  # indeed.\n  three: {}  # or so\n  affinity: {}\n"
    assert [(value.path, value.says) for value in chart.values(text)] == [
        ("one", "Of one."),
        ("two.three", "Of three, indeed. or so"),
        ("two.affinity", "As in a pod."),
    ]


def test_the_schema_knows_every_value_of_the_chart() -> None:
    unknown = [value.path for value in chart.values() if not _in_schema(_SCHEMA, value.path.split("."))]
    assert unknown == []


def _in_schema(schema: Mapping[str, Any], steps: list[str]) -> bool:
    if "$ref" in schema:
        schema = _SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
    if not steps:
        return True
    inside = schema.get("properties", {})
    if steps[0] in inside:
        return _in_schema(inside[steps[0]], steps[1:])
    return isinstance(schema.get("additionalProperties"), dict)


def test_an_option_without_a_help_text_is_an_error() -> None:
    bare = click.Command("bare", params=[click.Option(["--silent"], envvar="SILENT")])
    with pytest.raises(LookupError, match="--silent has no help text"):
        list(commands._sections(bare, click.Context(bare, info_name="bare")))


def test_a_reason_without_a_text_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reasons, "Reason", Enum("Reason", {"NEW": "CardOnFire"}))
    with pytest.raises(KeyError):
        reasons.page()


def test_a_hook_without_an_example_or_a_changelog_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    @hookspecs.hookspec
    def hami_new() -> None:
        """New.

        Caller: nobody.
        """

    monkeypatch.setattr(hookspecs, "hami_new", hami_new, raising=False)
    with pytest.raises(LookupError, match="hami_new"):
        hooks.pages()


@pytest.mark.parametrize(
    ("tables", "name", "page"),
    [
        (environment, "variables", environment.page),
        (keys, "_in_sources", keys.page),
        (events, "reasons", events.page),
    ],
    ids=["variable", "annotation", "event"],
)
def test_a_name_in_the_sources_without_a_text_is_an_error(
    tables: Any, name: str, page: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = list(getattr(tables, name)())
    monkeypatch.setattr(tables, name, lambda: iter([*found, "hami.io/nobody-said"]))
    with pytest.raises(LookupError, match=r"hami\.io/nobody-said"):
        page()


def test_a_setting_without_a_text_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(configuration._SAYS, "deviceSplitCount")
    with pytest.raises(LookupError, match="deviceSplitCount"):
        configuration.page()


def test_every_section_that_a_plugin_reads_is_on_the_page() -> None:
    asked = {
        name
        for file in (ROOT / "src").rglob("*.py")
        for name in re.findall(
            r'(?:config\.(?:section|entries)\(|^SECTION = )"(\w+)"', file.read_text(encoding="utf-8"), re.MULTILINE
        )
    }
    assert asked
    assert asked <= {name.partition("[")[0].partition(".")[0] for name, _, _ in configuration._SECTIONS}


def test_every_metric_in_the_sources_is_on_the_page() -> None:
    page = metrics.page()
    for file in (ROOT / "src/hami_core").rglob("*.py"):
        for name in re.findall(r'Spec\(\s*name="(\w+)"', file.read_text(encoding="utf-8")):
            assert f"`{name}`" in page, f"{file.name}: {name}"


def test_no_text_is_of_a_setting_or_variable_that_is_gone() -> None:
    page = configuration.page()
    assert [name for name in configuration._SAYS if f"| `{name}` |" not in page] == []
    assert {*events._PODS, *events._NODES} - set(events.reasons()) == set()
    ours = {name for name in (*environment._PEOPLE, *environment._SIMULATED) if "<" not in name}
    assert ours - set(environment.variables()) == set()


def test_the_drawing_of_a_pods_life_has_every_hook_in_its_order() -> None:
    drawing = next(block.text for block in blocks("text") if block.place.startswith("docs/architecture.md"))
    assert re.findall(r"hami_\w+", drawing) == list(hooks.hooks())
