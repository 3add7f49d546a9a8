"""The native libraries of this working tree, unless others are named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

BUILT = Path(__file__).resolve().parents[2] / "build" / "native"


@pytest.fixture(autouse=True)
def native_of_this_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAMI_NATIVE_DIR", os.environ.get("HAMI_NATIVE_DIR", str(BUILT)))
