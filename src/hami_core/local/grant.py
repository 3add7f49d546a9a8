"""From what a person asks of `hami run` to a lease, or to the reasons why there is none."""

from __future__ import annotations

import os
import time

import attrs

from hami_core.errors import HamiError
from hami_core.fit import Fleet
from hami_core.local.lease import Lease
from hami_core.local.leases import Leases, new_id
from hami_core.local.process import describe
from hami_core.local.sight import Card, Sight
from hami_core.model import ContainerRequest, DeviceRequest, DeviceShare, PodRequest, Selector
from hami_core.objects import NodeFacts
from hami_core.registry import Registry
from hami_core.uuids import complete_uuid
from hami_core.values import whole
from hami_core.verdict import Fits, Verdict

_WHOLE = 100
_SHARED_BY_LIBRARY = "hami-core"  # HAMi's word for a card's mode in which a preloaded library shares it
_LABEL_WIDTH = 40  # of a command in the reasons of another one's refusal


class NothingToShare(HamiError):
    """No card that could be asked: no driver, no card of that vendor, or several vendors and none named."""


@attrs.frozen(kw_only=True)
class Ask:
    """What a command wants: `count` cards and on each of them this much; all of a card's memory by default."""

    count: int = attrs.field(default=1, validator=whole(1))
    memory_mib: int | None = attrs.field(default=None, validator=attrs.validators.optional(whole(1)))
    memory_percent: int | None = attrs.field(default=None, validator=attrs.validators.optional(whole(1, 100)))
    cores: int = attrs.field(default=0, validator=whole(0, 100))  # percent of each card; 0 sets no limit
    priority: int | None = None  # 0 before 1
    models: tuple[str, ...] = ()
    uuids: tuple[str, ...] = ()
    oversubscribe: bool = False

    def limit_on(self, card_mib: int) -> int:
        """MiB the command may use on a card of `card_mib`."""
        if self.memory_mib is not None:
            return self.memory_mib
        return card_mib * (self.memory_percent or _WHOLE) // 100


@attrs.frozen(kw_only=True)
class NoRoom:
    """No lease: the verdict says why card by card; `ever` is whether an empty machine would have room."""

    verdict: Verdict
    ever: bool


def asked_cards(sight: Sight, vendor: str | None, models: tuple[str, ...] = ()) -> tuple[Card, ...]:
    """The cards a command can be given: those of `vendor`, or of the only vendor that has any.

    Raises:
        NothingToShare: says what was looked for and what was found instead.
    """
    cards = tuple(card for card in sight.cards if vendor in (None, card.vendor))
    if not cards:
        notes = [f"{name}: {note}" for name, note in sorted({**sight.missing, **sight.failed}.items())]
        told = f" ({'; '.join(notes)})" if notes else ""
        hint = "" if sight.machine.simulated else "; try it with --simulate a40x2"
        raise NothingToShare(f"{sight.machine.name} has no {vendor or 'accelerator'} cards{told}{hint}")
    vendors = sorted({card.vendor for card in cards})
    if len(vendors) > 1:
        raise NothingToShare(f"{sight.machine.name} has cards of {' and '.join(vendors)}; say which with --vendor")
    families = sorted({card.device.family for card in cards})
    if len(families) > 1:
        cards = tuple(card for card in cards if any(word.lower() in card.device.model.lower() for word in models))
        if len({card.device.family for card in cards}) != 1:
            raise NothingToShare(f"{sight.machine.name} has {' and '.join(families)}; say which with --device-type")
    return cards


def full_uuids(cards: tuple[Card, ...], wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Complete UUIDs from their beginnings.

    Raises:
        UnknownName: no card, or more than one, begins so.
    """
    known = [card.device.uuid for card in cards]
    return tuple(complete_uuid(known, start) for start in wanted)


def take(
    leases: Leases,
    cards: tuple[Card, ...],
    ask: Ask,
    command: tuple[str, ...],
    *,
    machine: NodeFacts,
    registry: Registry,
) -> Lease | NoRoom:
    """Take a lease for `command`, owned by this process until it is handed over. `machine` names cordoned cards.

    All of it happens in one transaction of the books: what the decision saw is still true when the lease is written.
    """
    refused: list[NoRoom] = []

    def choose(out: tuple[Lease, ...]) -> Lease | None:
        verdict = _decide(cards, ask, out, machine=machine, registry=registry)
        if isinstance(verdict, Fits):
            return _lease(verdict, cards, ask, command)
        empty = verdict if not out else _decide(cards, ask, (), machine=machine, registry=registry)
        refused.append(NoRoom(verdict=verdict, ever=isinstance(empty, Fits)))
        return None

    lease = leases.take(choose)
    return refused[0] if lease is None else lease


def _decide(
    cards: tuple[Card, ...], ask: Ask, out: tuple[Lease, ...], *, machine: NodeFacts, registry: Registry
) -> Verdict:
    fleet = Fleet(registry)
    fleet.upsert_node(machine, [card.device for card in cards])
    for lease in out:
        label = " ".join(" ".join(lease.command).split())[:_LABEL_WIDTH]
        fleet.add_pod(lease.key, lease.placement(machine.name), label=f"{lease.id} {label}")
    return fleet.decide(_request(cards, ask)).verdict(machine.name)


def _request(cards: tuple[Card, ...], ask: Ask) -> PodRequest:
    family = cards[0].device.family
    memory_mib = 0 if ask.oversubscribe else ask.memory_mib
    request = DeviceRequest(
        family=family,
        count=ask.count,
        core_units=ask.cores,
        memory_mib=memory_mib,
        memory_percent=(ask.memory_percent or _WHOLE) if memory_mib is None else None,
    )
    # Partitions are made by a node agent with the right to do so; here only whole cards can be shared.
    partitioned = any(card.device.mode not in ("", _SHARED_BY_LIBRARY) for card in cards)
    mode = _SHARED_BY_LIBRARY if partitioned else None
    selector = Selector(allow_types=ask.models, allow_uuids=ask.uuids, mode=mode)
    container = ContainerRequest(name="command", devices=(request,))
    return PodRequest(name="command", containers=(container,), selectors={family: selector})


def _lease(fits: Fits, cards: tuple[Card, ...], ask: Ask, command: tuple[str, ...]) -> Lease:
    memory_of = {card.device.uuid: card.device.memory_mib for card in cards}
    family = cards[0].device.family
    (shares,) = fits.placement.shares_of(family)
    held = [
        DeviceShare(uuid=share.uuid, memory_mib=ask.limit_on(memory_of[share.uuid]), core_units=share.core_units)
        for share in shares
    ]
    owner = describe(os.getpid())
    assert owner is not None, "this process runs"
    return Lease(
        id=new_id(),
        owner=owner,
        command=command,
        uid=os.getuid(),
        started_s=time.time(),
        family=family,
        shares=tuple(held),
        priority=ask.priority,
        oversubscribe=ask.oversubscribe,
    )
