"""Other limits for what is held already: the new placement, and whether the cards and the quota have room for it.

Pure: the hosts read, ask here, and write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from hami_core.errors import HamiError
from hami_core.fit.usage import NOTHING, Taken, family_totals, taken_by
from hami_core.model import ContainerShares, DeviceShare, Placement

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hami_core.fit import Fleet
    from hami_core.registry import Registry

Cards = dict[tuple[str, str], Taken]


class CannotResize(HamiError):
    """A share that cannot be what was asked for; the message says why."""


@attrs.frozen(kw_only=True)
class Wish:
    """What each card of a container shall give it. None leaves that part, or chooses the only one there is."""

    memory_mib: int | None = None
    cores: int | None = None  # in the family's own unit
    container: str | None = None
    family: str | None = None


def resized(placement: Placement, wish: Wish, registry: Registry) -> Placement:
    """The placement with the wish in it.

    Raises:
        CannotResize: no such container, several it could be, or shares whose size is not ours to change.
    """
    index, family = _meant(placement, wish)
    loaded = registry.families.get(family)
    if loaded is None:
        raise CannotResize(f"no plugin serves {family}")
    if loaded.allocate is None or loaded.family.isolation is None:
        raise CannotResize(f"{family} cards are allocated by their vendor's own device plugin, once and for all")
    if loaded.family.templates:
        raise CannotResize(f"{family} cards are cut by templates, which the driver sets at the start")
    container = placement.containers[index]
    if any(share.partition is not None for share in container.shares[family]):
        raise CannotResize(f"container {container.name} has a hardware partition, whose size is fixed")
    shares = {**container.shares, family: tuple(_share(share, wish) for share in container.shares[family])}
    containers = list(placement.containers)
    containers[index] = attrs.evolve(container, shares=shares)
    return attrs.evolve(placement, containers=tuple(containers))


def no_room(fleet: Fleet, key: str, before: Placement, after: Placement, *, init_done: bool = False) -> tuple[str, ...]:
    """Why `after` cannot stand in the place of what the fleet counts for `key` as `before`; empty where it can.

    What shrinks always may. Cards that the node does not have say so.
    """
    old = taken_by(before.containers, init_done=init_done)
    new = taken_by(after.containers, init_done=init_done)
    grown = {card: part for card, part in new.items() if _more(part, old.get(card, NOTHING))}
    if not grown:
        return ()
    held = fleet.holding(key)
    counted: Mapping[tuple[str, str], Taken] = dict(held.taken) if held is not None else {}
    cards = {(use.device.family, use.device.uuid): use for use in fleet.uses(before.node)}
    problems: list[str] = []
    for card, part in sorted(grown.items()):
        use, mine = cards.get(card), counted.get(card, NOTHING)
        if use is None:
            problems.append(f"{card[1]}: node {before.node} does not have the card now")
            continue
        free_mib = use.device.memory_mib - (use.memory_used_mib - mine.memory_mib)
        free_cores = use.device.core_units - (use.core_units_used - mine.core_units)
        if part.memory_mib > old.get(card, NOTHING).memory_mib and part.memory_mib > free_mib:
            problems.append(f"{card[1]}: {part.memory_mib} MiB asked, {max(0, free_mib)} MiB not held by others")
        if part.core_units > old.get(card, NOTHING).core_units and part.core_units > free_cores:
            problems.append(f"{card[1]}: {part.core_units} cores asked, {max(0, free_cores)} not held by others")
    return tuple(problems)


def over_quota(
    fleet: Fleet, namespace: str, before: Placement, after: Placement, registry: Registry
) -> tuple[str, ...]:
    """Why the namespace's quota forbids the growth from `before` to `after`; empty where it does not."""
    limits, used = fleet.quota(namespace)
    old, new = (family_totals(taken_by(each.containers)) for each in (before, after))
    problems = []
    for name, (memory_mib, core_units) in sorted(new.items()):
        family = registry.families[name].family
        had_mib, had_cores = old.get(name, (0, 0))
        for resource, more, factor in (
            (family.resources.memory, memory_mib - had_mib, family.units.quota_factor),
            (family.resources.cores, core_units - had_cores, 1),
        ):
            if (
                resource is not None
                and resource in limits
                and more > 0
                and used.get(resource, 0) + more > limits[resource] * factor
            ):
                limit = limits[resource] * factor
                problems.append(
                    f"quota of {namespace}: {resource}: {more} more, {used.get(resource, 0)} used of {limit}"
                )
    return tuple(problems)


def larger(first: Placement, second: Placement) -> Placement:
    """The larger of two placements of the same shares, part by part: what is safe to count until one of them holds."""
    return attrs.evolve(
        first,
        containers=tuple(
            attrs.evolve(one, shares={family: tuple(_peaks(one, other, family)) for family in one.shares})
            for one, other in zip(first.containers, second.containers, strict=True)
        ),
    )


def _peaks(one: ContainerShares, other: ContainerShares, family: str) -> Iterator[DeviceShare]:
    for mine, theirs in zip(one.shares[family], other.shares[family], strict=True):
        memory_mib = max(mine.memory_mib, theirs.memory_mib)
        yield attrs.evolve(mine, memory_mib=memory_mib, core_units=max(mine.core_units, theirs.core_units))


def _meant(placement: Placement, wish: Wish) -> tuple[int, str]:
    """Place of the container, and the family."""
    found = [
        (index, family)
        for index, container in enumerate(placement.containers)
        for family, shares in sorted(container.shares.items())
        if shares and wish.container in (None, container.name) and wish.family in (None, family)
    ]
    if len(found) == 1:
        return found[0]
    wanted = " ".join(word for word in (wish.container, wish.family) if word)
    if not found:
        raise CannotResize(f"no container{f' {wanted}' if wanted else ''} has a share")
    names = ", ".join(f"{placement.containers[index].name} ({family})" for index, family in found)
    raise CannotResize(f"say which container, and of which family: {names}")


def _share(share: DeviceShare, wish: Wish) -> DeviceShare:
    return attrs.evolve(
        share,
        memory_mib=share.memory_mib if wish.memory_mib is None else wish.memory_mib,
        core_units=share.core_units if wish.cores is None else wish.cores,
    )


def _more(part: Taken, than: Taken) -> bool:
    return part.memory_mib > than.memory_mib or part.core_units > than.core_units
