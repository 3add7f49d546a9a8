"""The six vendors keep the rules of the kit."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import hami_ascend
import hami_dcu
import hami_iluvatar
import hami_mlu
import hami_mthreads
import hami_nvidia
from hami_core.testing import PluginConformance

ROOT = Path(__file__).parents[2]
MACHINES = Path(__file__).parent / "machines"
PAGE = ROOT / "docs" / "devices.md"


@pytest.fixture(autouse=True)
def built_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries of a build in this tree serve where the package was installed without them."""
    monkeypatch.setenv("HAMI_NATIVE_DIR", os.environ.get("HAMI_NATIVE_DIR", str(ROOT / "build" / "native")))


class TestAscend(PluginConformance):
    plugin = hami_ascend
    machine = ROOT / "src" / "hami_ascend" / "machines" / "ascend910b3x8.json"
    examples = ROOT / "examples" / "ascend"
    docs = PAGE


class TestDcu(PluginConformance):
    plugin = hami_dcu
    machine = ROOT / "src" / "hami_dcu" / "machines" / "k100x4.json"
    examples = ROOT / "examples" / "dcu"
    docs = PAGE


class TestIluvatar(PluginConformance):
    plugin = hami_iluvatar
    machine = ROOT / "src" / "hami_iluvatar" / "machines" / "biv150x4.json"
    examples = ROOT / "examples" / "iluvatar"
    docs = PAGE


class TestMlu(PluginConformance):
    plugin = hami_mlu
    machine = ROOT / "src" / "hami_mlu" / "machines" / "mlu370x4.json"
    examples = ROOT / "examples" / "mlu"
    docs = PAGE


class TestMthreads(PluginConformance):
    plugin = hami_mthreads
    machine = ROOT / "src" / "hami_mthreads" / "machines" / "s4000x4.json"
    examples = ROOT / "examples" / "mthreads"
    docs = PAGE


class TestNvidia(PluginConformance):
    plugin = hami_nvidia
    machine = ROOT / "src" / "hami_nvidia" / "machines" / "h100x8.json"
    examples = ROOT / "examples" / "nvidia"
    docs = PAGE


class TestNvidiaInPartitions(PluginConformance):
    plugin = hami_nvidia
    machine = ROOT / "src" / "hami_nvidia" / "machines" / "a100-mig.json"
    docs = PAGE
