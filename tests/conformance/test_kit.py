"""The kit finds what it is there to find: each rule is broken once, on purpose."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import pytest
from tests.conformance.sabotage import SABOTAGES, Sabotage

from hami_core.testing.conformance import CHECKS, State, Subject, examine, run_check, run_checks

GOOD = Path(__file__).parent / "good_plugin"
NAMES = (f"plugin_{number}" for number in itertools.count())
BY_TITLE = {check.title: check for check in CHECKS}

Make = Callable[..., Subject]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """The good plugin as a package of its own, after changes to one of its files."""

    def made(changes: Mapping[str, str] | None = None, file: str = "__init__.py") -> Subject:
        name = next(NAMES)  # a name once imported stays imported
        package = tmp_path / name
        shutil.copytree(GOOD, package, ignore=shutil.ignore_patterns("__pycache__"))
        (package / "lib").mkdir()
        shutil.copy(msgspec._core.__file__, package / "lib" / "libgood.so")  # any library that loads
        (tmp_path / "torch.py").touch()
        text = (package / file).read_text(encoding="utf-8")
        for old, new in (changes or {}).items():
            assert old in text, f"{file} no longer has {old!r}"
            text = text.replace(old, new)
        (package / file).write_text(text, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        return examine(
            name,
            machine=package / "machine.json",
            docs=package / "page.md",
            examples=package / "pods",
            simulate=lay_out,
        )

    return made


def lay_out(folder: Path) -> Mapping[str, str]:
    cards = json.loads((GOOD / "machine.json").read_text(encoding="utf-8"))["devices"]
    file = folder / "sys/class/good/cards"
    file.parent.mkdir(parents=True)
    file.write_text("\n".join(f"{c['uuid']} {c['index']} {c['memory_mib']}" for c in cards), encoding="utf-8")
    return {"GOOD_ROOT": str(folder)}


def test_the_good_plugin_keeps_every_rule(make: Make) -> None:
    report = run_checks(make())
    assert [(result.check.title, result.found) for result in report.results if result.state is not State.KEPT] == []
    assert len(report.results) == len(CHECKS)


@pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda sabotage: sabotage.rule.replace(" ", "-"))
def test_a_broken_rule_is_found_and_comes_with_advice(make: Make, sabotage: Sabotage) -> None:
    result = run_check(BY_TITLE[sabotage.rule], make(sabotage.changes, sabotage.file))
    assert (result.state, sabotage.found in result.found) == (State.BROKEN, True), result
    assert result.advice.endswith((".", ")"))


def test_every_rule_has_been_broken_once() -> None:
    assert {sabotage.rule for sabotage in SABOTAGES} == set(BY_TITLE)
    assert len(BY_TITLE) == len(CHECKS)


def test_a_library_that_cannot_be_loaded_is_found(make: Make) -> None:
    subject = make()
    library = Path(str(subject.module.__file__)).parent / "lib" / "libgood.so"
    library.write_bytes(b"\x7fELF and nothing more")
    result = run_check(BY_TITLE["the isolation library can be loaded"], subject)
    assert (result.state, "libgood.so cannot be loaded: OSError" in result.found) == (State.BROKEN, True), result
