"""The plugins under examples/plugins pass their own tests, and use nothing that is not public."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "plugins"
PACKAGES = sorted(path.parent for path in FOLDER.glob("*/pyproject.toml"))
PUBLIC = (
    "hami_core",
    "hami_core.admission",
    "hami_core.behaviour",
    "hami_core.errors",
    "hami_core.family",
    "hami_core.model",
    "hami_core.objects",
    "hami_core.requests",
    "hami_core.score",
    "hami_core.score.policy",
    "hami_core.testing",
    "hami_core.testing.conformance.sample",
    "hami_core.units",
    "hami_core.verdict",
    "hami_core.wire.capacity",
    "hami_core.wire.device_config",
    "hami_core.wire.partitions",
    "hami_core.wire.register",
)
"""What docs/plugins/write-a-vendor.md lists for plugins to import."""


def imports(package: Path) -> Iterator[tuple[str, str]]:
    for file in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                yield f"{file.relative_to(package)}:{node.lineno}", node.module
            elif isinstance(node, ast.Import):
                yield from ((f"{file.relative_to(package)}:{node.lineno}", alias.name) for alias in node.names)


def test_there_are_the_examples_that_the_pages_speak_of() -> None:
    assert [package.name for package in PACKAGES] == ["hami-acme", "hami-amd", "hami-policy-cheapest"]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_its_own_tests_pass(package: Path, request: pytest.FixtureRequest) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    environ = dict(os.environ)
    if (package / "native").is_dir():
        environ["HAMI_NATIVE_DIR"] = str(request.getfixturevalue("acme") / "hami_acme")
    ended = subprocess.run(command, check=False, capture_output=True, text=True, cwd=package, timeout=240, env=environ)
    assert ended.returncode == 0, ended.stdout
    assert " passed" in ended.stdout


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_its_types_hold(package: Path) -> None:
    (name,) = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"][
        "hami"
    ].values()
    ended = subprocess.run(
        [sys.executable, "-m", "mypy", name], check=False, capture_output=True, text=True, cwd=package, timeout=240
    )
    assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_it_uses_public_names_only(package: Path) -> None:
    used = [(place, name) for place, name in imports(package) if name.partition(".")[0] == "hami_core"]
    assert [item for item in used if item[1] not in PUBLIC] == []
    assert used


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_it_imports_itself_and_no_other_plugin(package: Path) -> None:
    own = package.name.replace("-", "_")
    others = {name.partition(".")[0] for _, name in imports(package) if name.startswith("hami_")}
    assert others <= {"hami_core", own}


def test_the_page_for_vendors_lists_what_is_public() -> None:
    page = (FOLDER.parents[1] / "docs" / "plugins" / "write-a-vendor.md").read_text(encoding="utf-8")
    section = page.partition("## What you may import")[2].partition("\n## ")[0]
    assert tuple(line[3:-1] for line in section.splitlines() if line.startswith("- `")) == PUBLIC
