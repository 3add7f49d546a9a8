"""What a region says of a lease's use, and what it says when it cannot be believed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.local.conftest import make_lease

from hami_core.isolation.region import RegionDevice, RegionProcess, RegionView
from hami_core.local import usage
from hami_core.local.inside import REGION
from hami_core.local.leases import Leases
from hami_core.local.machine import Machine
from hami_core.local.process import describe
from hami_core.local.usage import CardUse, region_in_use, uses_on
from hami_core.model import DeviceShare

MIB = 1 << 20
SHARES = (DeviceShare(uuid="GPU-0", memory_mib=1000), DeviceShare(uuid="GPU-1", memory_mib=1000))


def process(*, device_bytes: tuple[int, ...], start_ticks: int | None, pid: int | None = None) -> RegionProcess:
    return RegionProcess(
        pid=pid or os.getpid(), start_ticks=start_ticks, pid_namespace=None, uid=0, command="train", attached_ns=1,
        active_ns=1, device_bytes=device_bytes, class_bytes=({},) * len(device_bytes),
    )  # fmt: skip


def view(*processes: RegionProcess) -> RegionView:
    def device(uuid: str) -> RegionDevice:
        return RegionDevice(
            uuid=uuid, memory_limit_bytes=None, core_percent=None, busy_ns=2_500_000_000, throttled_ns=0,
            refused_count=3, launched_ns=None, others_seen_ns=None, others_busy_ns=None,
        )  # fmt: skip

    return RegionView(
        version=(1, 0), created_unix_ns=1, heartbeat_ns=None, reaped_count=0, core_policy="default", priority=0,
        devices=(device("GPU-1"),), processes=processes,
    )  # fmt: skip


def mine() -> int:
    named = describe(os.getpid())
    assert named is not None
    return named.start_ticks


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    books = Leases(tmp_path, in_use=lambda _folder: False)
    books.take(lambda _out: make_lease(shares=SHARES))
    books.close()
    return Machine(name="box", folder=tmp_path)


def test_use_is_summed_over_the_living_and_found_by_uuid(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    living = process(device_bytes=(300 * MIB + 1,), start_ticks=mine())
    dead = process(device_bytes=(500 * MIB,), start_ticks=1)
    unnamed = process(device_bytes=(10 * MIB,), start_ticks=None)
    monkeypatch.setattr(usage, "read_region", lambda _file: view(living, dead, unnamed))
    (use,) = uses_on(machine)
    assert use.cards == (
        CardUse(share=SHARES[0]),
        CardUse(share=SHARES[1], memory_mib=311, busy_s=2.5, refused=3),
    )
    assert use.pids == (os.getpid(), os.getpid())


def test_before_the_first_process_nothing_is_used(machine: Machine) -> None:
    (use,) = uses_on(machine)
    assert use.cards == tuple(CardUse(share=share) for share in SHARES)


def test_a_damaged_region_says_nothing_about_use_and_keeps_no_lease(machine: Machine, tmp_path: Path) -> None:
    (use,) = uses_on(machine)
    folder = tmp_path / "leases" / use.lease.id
    folder.mkdir()
    (folder / REGION).write_bytes(b"garbage" * 1000)
    (use,) = uses_on(machine)
    assert [(card.memory_mib, card.busy_s, card.refused) for card in use.cards] == [(None, None, None)] * 2
    assert not region_in_use(folder)


def test_only_living_processes_keep_a_lease(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    dead = process(device_bytes=(1,), start_ticks=1)
    monkeypatch.setattr(usage, "read_region", lambda _file: view(dead))
    assert not region_in_use(tmp_path)
    monkeypatch.setattr(usage, "read_region", lambda _file: view(dead, process(device_bytes=(1,), start_ticks=mine())))
    assert region_in_use(tmp_path)
    monkeypatch.setattr(
        usage, "read_region", lambda _file: view(process(device_bytes=(), start_ticks=None, pid=2**22 + 1))
    )
    assert not region_in_use(tmp_path)


def test_another_users_closed_region_keeps_the_lease(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def closed(_file: Path) -> RegionView | None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(usage, "read_region", closed)
    assert region_in_use(tmp_path)
