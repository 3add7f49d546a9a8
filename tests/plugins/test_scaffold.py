"""What `hami new-plugin` makes passes its own tests, untouched."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

HAMI = Path(sys.executable).with_name("hami")
MADE = {"vendor": ("brightchip", "hami-brightchip"), "policy": ("most-memory", "hami-policy-most-memory")}


def call(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, check=False, capture_output=True, text=True, cwd=cwd, timeout=240)


@pytest.fixture(scope="module", params=MADE)
def package(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    name, folder = MADE[request.param]
    where = tmp_path_factory.mktemp(request.param)
    ended = call(str(HAMI), "new-plugin", name, "--kind", request.param, cwd=where)
    assert ended.returncode == 0, ended.stderr
    return where / folder


def test_its_tests_pass(package: Path) -> None:
    ended = call(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=package)
    assert ended.returncode == 0, ended.stdout
    assert " passed" in ended.stdout


def test_it_is_clean_to_the_tools_it_is_set_up_for(package: Path) -> None:
    (module,) = package.glob("hami_*")
    for tool in (["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy", module.name]):
        ended = call(sys.executable, "-m", *tool, cwd=package)
        assert ended.returncode == 0, ended.stdout


def test_its_entry_point_leads_to_hooks(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    monkeypatch.syspath_prepend(package)
    for name in project["entry-points"]["hami"].values():
        assert any(hook.startswith("hami_") for hook in vars(importlib.import_module(name)))


def test_a_folder_that_is_taken_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "hami-acme").mkdir()
    (tmp_path / "hami-acme" / "mine.txt").write_text("precious", encoding="utf-8")
    ended = call(str(HAMI), "new-plugin", "acme", cwd=tmp_path)
    assert (
        ended.returncode,
        ended.stderr,
    ) == (2, "hami: hami-acme is there already and not empty; name another place with --into\n")
    assert [path.name for path in (tmp_path / "hami-acme").iterdir()] == ["mine.txt"]


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    ended = call(str(HAMI), "new-plugin", "core", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (
        2,
        "hami: there is a package hami_core already; choose another name\n",
    )
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_no_package_can_have_is_refused(tmp_path: Path) -> None:
    ended = call(str(HAMI), "new-plugin", "Acme Corp", cwd=tmp_path)
    assert ended.returncode == 2
    assert '"Acme Corp" must be lower-case letters and digits' in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_its_example_pod_is_placed_on_its_machine_once_it_is_installed(tmp_path: Path) -> None:
    made = call(str(HAMI), "new-plugin", "brightchip", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    package = tmp_path / "hami-brightchip"
    installed(package)
    line = f"{HAMI} devices --simulate brightchipx4 -o node | {HAMI} schedule --cluster - -f examples/share.yaml"
    environ = {**os.environ, "PYTHONPATH": str(package), "HAMI_STATE_DIR": str(tmp_path / "state")}
    ended = subprocess.run(
        line, shell=True, check=False, capture_output=True, text=True, cwd=package, env=environ, timeout=120
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("pod default/share: goes to brightchipx4\n")


def installed(package: Path) -> None:
    """What an installer leaves beside the package: its metadata with the entry points."""
    project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    folder = package / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n", encoding="utf-8"
    )
    points = [f"{name} = {value}" for name, value in project["entry-points"]["hami"].items()]
    (folder / "entry_points.txt").write_text("\n".join(["[hami]", *points, ""]), encoding="utf-8")
