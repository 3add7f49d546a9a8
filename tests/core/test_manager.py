"""Plugins load, or say why not, and never take each other down."""

from __future__ import annotations

import types
from importlib import metadata

import pytest

from hami_core import manager
from hami_core.errors import PluginFault, UnknownName
from hami_core.hookspecs import hookimpl
from hami_core.manager import load_plugins


def plugin(name: str, **hooks: object) -> types.ModuleType:
    module = types.ModuleType(name)
    for hook, function in hooks.items():
        setattr(module, hook, hookimpl(function))  # type: ignore[type-var]
    return module


class FakeEntry:
    """An entry point whose load we control."""

    def __init__(self, name: str, result: object) -> None:
        self.name, self.value, self.result = name, f"{name}:x", result
        self.dist = None

    def load(self) -> object:
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch):
    def install(**results: object) -> None:
        entries = [FakeEntry(name, result) for name, result in results.items()]
        monkeypatch.setattr(metadata, "entry_points", lambda *, group: entries if group == manager.GROUP else [])

    return install


def test_a_plugin_that_cannot_be_imported_is_reported_and_the_others_load(installed) -> None:
    installed(good=plugin("good", hami_machines=lambda: ()), bad=ImportError("libacme.so: cannot open"))
    loaded = load_plugins(environ={})
    by_name = {item.source.name: item for item in loaded.plugins}
    assert by_name["bad"].problem == "cannot be loaded: ImportError: libacme.so: cannot open"
    assert by_name["bad"].module is None
    assert loaded.hooks_of(by_name["good"]) == ("hami_machines",)


def test_a_misspelt_hook_stops_the_start_and_names_the_right_one() -> None:
    with pytest.raises(PluginFault, match=r"plugin acme: there is no hook hami_familys; did you mean hami_families\?"):
        load_plugins([plugin("acme", hami_familys=lambda config: ())])


def test_a_hook_with_an_argument_nobody_passes_stops_the_start() -> None:
    with pytest.raises(PluginFault, match="colour"):
        load_plugins([plugin("acme", hami_families=lambda config, colour: ())])


def test_hami_plugins_pins_what_loads(installed) -> None:
    installed(a=plugin("a"), b=plugin("b"), **{"hami-policies": plugin("p")})
    names = [item.source.name for item in load_plugins(environ={"HAMI_PLUGINS": "b"}).plugins]
    assert names == ["hami-policies", "b"]


def test_pinning_an_absent_plugin_lists_the_installed_ones(installed) -> None:
    installed(a=plugin("a"))
    with pytest.raises(UnknownName, match=r'no plugin \(HAMI_PLUGINS\) named "zz"; known: a'):
        load_plugins(environ={"HAMI_PLUGINS": "zz"})


def test_asking_one_plugin_does_not_ask_another() -> None:
    asked: list[str] = []
    first = plugin("first", hami_machines=lambda: asked.append("first"))
    second = plugin("second", hami_machines=lambda: asked.append("second"))
    loaded = load_plugins([first, second])
    loaded.ask(loaded.plugins[0], "hami_machines")
    assert asked == ["first"]


def test_tracing_prints_the_calls(capsys: pytest.CaptureFixture[str]) -> None:
    loaded = load_plugins([plugin("acme", hami_machines=lambda: ["m.json"])], environ={"HAMI_TRACE_HOOKS": "1"})
    loaded.ask(loaded.plugins[0], "hami_machines")
    assert "hami_machines" in capsys.readouterr().err
