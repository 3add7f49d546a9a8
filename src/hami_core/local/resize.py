"""Other limits for a lease that is out: checked against all other leases, then told to the command's library."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from hami_core.errors import UnknownName
from hami_core.fit import Fleet
from hami_core.isolation.limits import limits_of_share
from hami_core.isolation.region import BadRegion, read_region
from hami_core.isolation.rewriting import Over, over_limits, read_limits, set_limits
from hami_core.local.inside import LIMITS, REGION
from hami_core.local.usage import is_alive
from hami_core.objects import NodeFacts
from hami_core.resizing import CannotResize, Wish, no_room, resized

if TYPE_CHECKING:
    from pathlib import Path

    from hami_core.local.lease import Lease
    from hami_core.local.leases import Leases
    from hami_core.local.sight import Card
    from hami_core.registry import Registry


@attrs.frozen(kw_only=True)
class Resized:
    """A lease with its new shares, and the cards of which it uses more than they allow now."""

    lease: Lease
    over: tuple[Over, ...] = ()


def resize(
    leases: Leases, cards: tuple[Card, ...], lease_id: str, wish: Wish, *, machine: str, registry: Registry
) -> Resized:
    """Give a lease other limits.

    The books come first and the file after, in one transaction: a file that cannot be written changes nothing.

    Raises:
        UnknownName: no such lease, or several whose names begin so.
        CannotResize: the cards have no room, or the limits are fixed.
        OSError: the limits file cannot be written, or the command holds its folder's lock.
    """
    devices = {card.device.uuid: card.device for card in cards}

    def change(out: tuple[Lease, ...]) -> Lease:
        lease = _one_of(out, lease_id)
        fleet = Fleet(registry)
        fleet.upsert_node(NodeFacts(name=machine), list(devices.values()))
        for each in out:
            fleet.add_pod(each.key, each.placement(machine), label=each.id)
        # The memory of a lease that oversubscribes is a limit and no reservation, so nothing of it is counted.
        before = lease.placement(machine)
        plain = attrs.evolve(lease, oversubscribe=False)
        (shares,) = resized(plain.placement(machine), wish, registry).shares_of(lease.family)
        after = attrs.evolve(lease, shares=shares)
        problems = no_room(fleet, lease.key, before, after.placement(machine))
        if problems:
            raise CannotResize("; ".join(problems))
        limits = {share.uuid: limits_of_share(share, devices.get(share.uuid)) for share in shares}
        set_limits(leases.folder_of(lease.id) / LIMITS, limits)
        return after

    lease = leases.change(change)
    return Resized(lease=lease, over=_over(leases.folder_of(lease.id)))


def _one_of(out: tuple[Lease, ...], start: str) -> Lease:
    matches = [lease for lease in out if start and lease.id.startswith(start)]
    if len(matches) != 1:
        kind = "single lease" if matches else "lease"
        raise UnknownName(kind=kind, name=start, known=tuple(lease.id for lease in matches or out))
    return matches[0]


def _over(folder: Path) -> tuple[Over, ...]:
    limits = read_limits(folder / LIMITS)
    try:
        region = read_region(folder / REGION)
    except BadRegion:
        region = None  # hami ps says that it cannot be read
    return () if limits is None else over_limits(limits, region, alive=is_alive)
