"""The rules that every plugin keeps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fake_host import MACHINE, lay_out
from hami_core.testing import PluginConformance

import hami_acme

ROOT = Path(__file__).parents[1]


class TestAcme(PluginConformance):
    plugin = hami_acme
    machine = MACHINE
    docs = ROOT / "README.md"
    examples = ROOT / "examples"

    @classmethod
    def simulate(cls, folder: Path) -> Mapping[str, str]:
        return lay_out(folder)
