"""What a command finds inside its lease: the limits file, the place of the region, the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from hami_core.behaviour import AllocationContext
from hami_core.errors import HamiError
from hami_core.family import Isolation, VisibleForm
from hami_core.isolation.limits import limits_of
from hami_core.local.lease import Lease
from hami_core.local.machine import Machine
from hami_core.local.sight import Card
from hami_core.local.state import is_shared
from hami_core.packaged import package_of, packaged
from hami_core.registry import Registry

LIMITS = "limits"
REGION = "region"
NUMBERS = "HAMI_DEVICE_NUMBERS"
"""The driver's numbers of the share's cards, in the order of the limits file: what tells the isolation library which
card a runtime's number means on a host where no container renumbers them."""


class NoIsolation(HamiError):
    """A family without an isolation library: nothing would hold a command to its share."""


def furnish(
    lease: Lease,
    cards: tuple[Card, ...],
    folder: Path,
    *,
    machine: Machine,
    registry: Registry,
    base: Mapping[str, str],
) -> dict[str, str]:
    """Make the folder of a lease with its read-only limits file; return the whole environment of its command.

    Raises:
        NoIsolation: the vendor has no isolation library.
        NotInstalled: the library, or the driver doubles of a simulated machine, are not there.
    """
    loaded = registry.family(lease.family)
    isolation = loaded.family.isolation
    if isolation is None or loaded.allocate is None:
        raise NoIsolation(f"{lease.family} cards have no isolation library; hami run cannot hold a command to a share")
    library = packaged(package_of(loaded, registry), isolation.library)
    context = AllocationContext(
        shares=lease.shares,
        devices={card.device.uuid: card.device for card in cards},
        limits_file=folder / LIMITS,
        region_file=folder / REGION,
        priority=lease.priority,
        oversubscribe=lease.oversubscribe,
    )
    folder.mkdir(mode=0o700)
    if is_shared(folder.parent):
        folder.chmod(0o755)  # others may look (`hami ps`), only the owner changes
    limits_of(context).write(context.limits_file)
    return {
        **base,
        **machine.simulation(registry),
        **loaded.allocate(context).env,
        **_visible(lease, cards, isolation),
        "LD_PRELOAD": _before(str(library), base.get("LD_PRELOAD", "")),
    }


def _visible(lease: Lease, cards: tuple[Card, ...], isolation: Isolation) -> dict[str, str]:
    """What shows a process the cards of its lease and no others."""
    uuids = [share.uuid for share in lease.shares]
    if isolation.visible_form is VisibleForm.UUID:
        return {isolation.visible_env: ",".join(uuids)}
    index_of = {card.device.uuid: card.device.index for card in cards}
    numbers = ",".join(str(index_of[uuid]) for uuid in uuids)
    return {isolation.visible_env: numbers, NUMBERS: numbers}


def _before(library: str, preloaded: str) -> str:
    """`library` before what is preloaded already, once: a share may be taken inside a share."""
    return ":".join(dict.fromkeys([library, *(name for name in re.split("[ :]+", preloaded) if name)]))
