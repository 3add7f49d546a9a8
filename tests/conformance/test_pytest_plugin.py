"""`pytest --hami-plugin NAME` holds a plugin to the rules without a test class."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hami_core.hook_api import API_VERSION


def run(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "hami_core.testing.pytest_plugin", "-p", "no:cacheprovider"]
    return subprocess.run([*command, *arguments], check=False, capture_output=True, text=True, cwd=cwd, timeout=120)


def test_each_rule_is_a_test(tmp_path: Path) -> None:
    ended = run(tmp_path, "--hami-plugin", "dcu", "-v", "-k", "names or resources")
    assert ended.returncode == 0, ended.stdout
    assert f"hami: plugin dcu, hook API {API_VERSION}" in ended.stdout
    assert "::names-can-travel" in ended.stdout
    assert "2 passed" in ended.stdout


def test_a_broken_rule_fails_with_its_advice_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "hami_empty.py").write_text("", encoding="utf-8")
    ended = run(tmp_path, "--hami-plugin", "hami_empty", "-k", "declared")
    assert ended.returncode == 1
    assert "hami_empty declares no family and no policy" in ended.stdout
    assert "put @hookimpl above the function" in ended.stdout
    assert "Traceback" not in ended.stdout


def test_a_plugin_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    ended = run(tmp_path, "--hami-plugin", "nobody")
    assert ended.returncode == 4
    assert '--hami-plugin: no plugin named "nobody"; known: ascend' in ended.stderr


def test_without_the_option_nothing_is_added(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text("def test_mine():\n    pass\n", encoding="utf-8")
    ended = run(tmp_path)
    assert "1 passed" in ended.stdout
    assert "hami:" not in ended.stdout
