"""Pages made from the code are as the code is now, and nothing is left without a page."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path

import pytest
from docs.generate import DOCS, pages
from docs.generate.hooks import hooks

from hami_core.manager import load_plugins

PAGES = pages()


@pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(DOCS)))
def test_a_generated_page_is_fresh(file: Path) -> None:
    assert file.read_text(encoding="utf-8") == PAGES[file], f"{file.name} is old; run: python -m docs.generate"


def test_every_page_of_a_hook_is_of_a_hook_that_exists() -> None:
    assert {path.stem for path in (DOCS / "hooks").glob("hami_*.md")} == set(hooks())


@pytest.mark.parametrize("example", sorted((DOCS / "hooks" / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_the_example_of_a_hook_loads_as_a_plugin(example: Path) -> None:
    spec = importlib.util.spec_from_file_location(f"example_{example.stem}", example)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    loaded = load_plugins([module])
    assert loaded.hooks_of(loaded.plugins[0]) == (example.stem,)


def test_the_example_that_observes_decisions_writes_them_down(caplog: pytest.LogCaptureFixture) -> None:
    spec = importlib.util.spec_from_file_location("observer", DOCS / "hooks" / "examples" / "hami_decided.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with caplog.at_level(logging.INFO, "hami.decisions"):
        module.hami_decided(pod="a/b", node=None, reason="3/3 CardInsufficientMemory")
    assert caplog.messages == ["a/b: 3/3 CardInsufficientMemory"]
