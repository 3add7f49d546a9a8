"""Every test here runs for every vendor."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.node.built import native_of_this_tree

from .vendors import VENDORS, Host, Vendor
from .vendors import host as make_host

__all__ = ["native_of_this_tree"]  # an autouse fixture: pytest finds it here


@pytest.fixture(params=VENDORS, ids=str)
def vendor(request: pytest.FixtureRequest) -> Vendor:
    chosen: Vendor = request.param
    return chosen


@pytest.fixture
def host(vendor: Vendor, tmp_path: Path, native_of_this_tree: None) -> Host:
    return make_host(vendor, tmp_path)
