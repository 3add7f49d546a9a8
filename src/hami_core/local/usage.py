"""What leases use, as their isolation library wrote it into the lease's region."""

from __future__ import annotations

from pathlib import Path

import attrs

from hami_core.isolation.region import BadRegion, RegionProcess, RegionView, read_region
from hami_core.local.inside import REGION
from hami_core.local.lease import Lease
from hami_core.local.leases import Leases
from hami_core.local.machine import Machine
from hami_core.local.process import of_this_boot
from hami_core.model import DeviceShare
from hami_core.units import MIB

_NS_PER_S = 10**9


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
    """Whether a living process uses the region of the lease whose folder this is.

    A damaged region keeps no lease: the file may hold anything, and the lease's owner is known. One that belongs to
    another user and is closed to us does: that user's next look decides.
    """
    try:
        view = read_region(folder / REGION)
    except PermissionError:
        return True
    except (BadRegion, OSError):
        return False
    return view is not None and any(map(is_alive, view.processes))


def _use(machine: Machine, lease: Lease, file: Path) -> LeaseUse:
    try:
        view = read_region(file)
    except (BadRegion, OSError):
        unknown = tuple(CardUse(share=share, memory_mib=None, busy_s=None, refused=None) for share in lease.shares)
        return LeaseUse(machine=machine, lease=lease, cards=unknown)
    if view is None:
        return LeaseUse(machine=machine, lease=lease, cards=tuple(CardUse(share=share) for share in lease.shares))
    return LeaseUse(
        machine=machine,
        lease=lease,
        cards=tuple(_card(share, view) for share in lease.shares),
        pids=tuple(sorted(process.pid for process in view.processes if is_alive(process))),
    )


def _card(share: DeviceShare, view: RegionView) -> CardUse:
    for index, device in enumerate(view.devices):
        if device.uuid == share.uuid:
            used_bytes = view.used_bytes(index, alive=is_alive)
            return CardUse(
                share=share,
                memory_mib=-(-used_bytes // MIB),
                busy_s=device.busy_ns / _NS_PER_S,
                refused=device.refused_count,
            )
    return CardUse(share=share)


def is_alive(process: RegionProcess) -> bool:
    """Whether a process of a region still runs."""
    named = of_this_boot(process.pid, process.start_ticks, process.pid_namespace)
    return named is not None and named.alive()
