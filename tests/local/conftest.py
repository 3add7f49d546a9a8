"""Leases and processes to take them, for the tests of the local host."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hami_core.local.lease import Lease
from hami_core.local.leases import Leases, new_id
from hami_core.local.process import Process, describe
from hami_core.model import DeviceShare


def me() -> Process:
    named = describe(os.getpid())
    assert named is not None
    return named


def make_lease(owner: Process | None = None, **fields: object) -> Lease:
    values = {
        "id": new_id(),
        "owner": owner or me(),
        "command": ("train", "--fast"),
        "uid": os.getuid(),
        "started_s": 1_700_000_000.5,
        "family": "NVIDIA",
        "shares": (DeviceShare(uuid="GPU-0", memory_mib=1000, core_units=30),),
        **fields,
    }
    return Lease(**values)  # type: ignore[arg-type]


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Leases]:
    leases = Leases(tmp_path / "real", in_use=lambda folder: (folder / "in-use").exists())
    yield leases
    leases.close()
