"""The six vendors keep the rules of the kit."""

from __future__ import annotations

from pathlib import Path

import hami_ascend
import hami_dcu
import hami_iluvatar
import hami_mlu
import hami_mthreads
from hami_core.testing import PluginConformance

ROOT = Path(__file__).parents[2]
MACHINES = Path(__file__).parent / "machines"
DEVICES = ROOT / "docs" / "devices.md"


class TestAscend(PluginConformance):
    plugin = hami_ascend
    machine = MACHINES / "atlas-800.json"
    examples = ROOT / "examples" / "ascend"


class TestDcu(PluginConformance):
    plugin = hami_dcu
    machine = MACHINES / "z100x4.json"
    examples = ROOT / "examples" / "dcu"


class TestIluvatar(PluginConformance):
    plugin = hami_iluvatar
    machine = MACHINES / "bi-v150x2.json"
    examples = ROOT / "examples" / "iluvatar"


class TestMlu(PluginConformance):
    plugin = hami_mlu
    machine = MACHINES / "mlu370x2.json"
    examples = ROOT / "examples" / "mlu"


class TestMthreads(PluginConformance):
    plugin = hami_mthreads
    machine = MACHINES / "s4000x2.json"
    examples = ROOT / "examples" / "mthreads"
