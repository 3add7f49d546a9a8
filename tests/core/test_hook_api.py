"""Plugins say which hooks they are made for, and hear of what goes away."""

from __future__ import annotations

import types
import warnings

import pytest
from packaging.version import Version

from hami_core import hook_api, hookspecs
from hami_core.hook_api import API_VERSION, CHANGES, RETIRING, Retirement
from hami_core.hookspecs import hookimpl
from hami_core.manager import load_plugins

HOOKS = {name for name, value in vars(hookspecs).items() if hasattr(value, "hami_spec")}


def plugin(wanted: object) -> types.ModuleType:
    module = types.ModuleType("acme")
    module.HAMI_API = wanted  # type: ignore[attr-defined]
    module.hami_machines = hookimpl(lambda: ())  # type: ignore[attr-defined]
    return module


@pytest.mark.parametrize("wanted", [">=1,<2", ">=1.0", "~=1.0"])
def test_a_plugin_made_for_this_version_loads(wanted: str) -> None:
    (loaded,) = load_plugins([plugin(wanted)]).plugins
    assert (loaded.problem, loaded.module is None) == ("", False)


@pytest.mark.parametrize("wanted", [">=2", "<1", "==0.9"])
def test_a_plugin_made_for_other_versions_is_left_out_with_the_reason(wanted: str) -> None:
    (loaded,) = load_plugins([plugin(wanted)]).plugins
    assert loaded.module is None
    assert loaded.problem == (
        f"is made for hook API {wanted}, and this is {API_VERSION}; install a version of it that fits"
    )


@pytest.mark.parametrize("wanted", ["one", 1, ["1"]])
def test_a_statement_that_is_no_range_is_shown_with_one_that_is(wanted: object) -> None:
    (loaded,) = load_plugins([plugin(wanted)]).plugins
    assert loaded.problem == f'HAMI_API must be a version specifier such as ">=1,<2"; got {wanted!r}'


def test_a_plugin_that_says_nothing_loads() -> None:
    (loaded,) = load_plugins([types.ModuleType("quiet")]).plugins
    assert loaded.problem == ""


def test_whoever_implements_a_hook_that_goes_away_is_warned(monkeypatch: pytest.MonkeyPatch) -> None:
    retirement = Retirement(since="1.0", gone="2.0", instead="hami_families")
    monkeypatch.setattr(hook_api, "RETIRING", {"hami_machines": retirement})
    with pytest.warns(DeprecationWarning, match=r"acme implements hami_machines, which goes away in hook API 2\.0"):
        load_plugins([plugin(">=1")])


def test_nobody_is_warned_of_a_hook_they_do_not_implement(monkeypatch: pytest.MonkeyPatch) -> None:
    retirement = Retirement(since="1.0", gone="2.0", instead="nothing")
    monkeypatch.setattr(hook_api, "RETIRING", {"hami_decided": retirement})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_plugins([plugin(">=1")])


def test_every_hook_has_a_changelog_that_ends_at_or_before_this_version() -> None:
    assert set(CHANGES) == HOOKS
    assert all(Version(version) <= Version(API_VERSION) for changes in CHANGES.values() for version in changes)


def test_a_hook_that_is_to_be_gone_is_gone() -> None:
    assert all(Version(item.gone) > Version(API_VERSION) for item in RETIRING.values())
    assert set(RETIRING) <= HOOKS
