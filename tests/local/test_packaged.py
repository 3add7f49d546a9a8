"""Libraries are found inside their package, or in a build folder that a developer names."""

from __future__ import annotations

from pathlib import Path

import pytest

import hami_nvidia
from hami_core.packaged import NotInstalled, package_of, packaged
from hami_core.registry import load_registry


def test_a_file_of_a_package_is_found_where_the_package_is_installed() -> None:
    assert packaged("hami_core", "py.typed", {}) == Path(hami_nvidia.__file__).parents[1] / "hami_core/py.typed"


def test_a_build_folder_is_searched_first(tmp_path: Path) -> None:
    (tmp_path / "py.typed").touch()
    assert packaged("hami_core", "py.typed", {"HAMI_NATIVE_DIR": str(tmp_path)}) == tmp_path / "py.typed"
    assert packaged("hami_core", "units.py", {"HAMI_NATIVE_DIR": str(tmp_path)}).name == "units.py"


def test_a_file_that_is_not_there_is_named_with_what_to_do() -> None:
    with pytest.raises(NotInstalled, match=r"package hami_core carries no lib/x\.so; install the package again"):
        packaged("hami_core", "lib/x.so", {})


def test_a_family_knows_the_package_of_its_plugin() -> None:
    registry = load_registry(plugins=[hami_nvidia])
    assert package_of(registry.family("NVIDIA"), registry) == "hami_nvidia"
