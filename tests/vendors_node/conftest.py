"""Every test here runs for every vendor."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .vendors import VENDORS, Host, Vendor
from .vendors import host as make_host

BUILT = Path(__file__).resolve().parents[2] / "build" / "native"


@pytest.fixture(autouse=True)
def _native(monkeypatch: pytest.MonkeyPatch) -> None:
    """The native libraries of this working tree, unless others are named."""
    monkeypatch.setenv("HAMI_NATIVE_DIR", os.environ.get("HAMI_NATIVE_DIR", str(BUILT)))


@pytest.fixture(params=VENDORS, ids=str)
def vendor(request: pytest.FixtureRequest) -> Vendor:
    chosen: Vendor = request.param
    return chosen


@pytest.fixture
def host(vendor: Vendor, tmp_path: Path, _native: None) -> Host:
    return make_host(vendor, tmp_path)
