"""The common fit loop: one container's request to one family, over the cards of one node.

Cards are tried from the last to the first of the policy's order, and each rule that refuses one is counted under its
reason. The order of the rules is part of the contract: it decides which reason a card is counted under.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from hami_core.behaviour import Candidate, FitContext
from hami_core.fit.plan import MAX_CORE_REQUEST, Ask
from hami_core.fit.usage import family_totals, is_partitioned, taken_by, with_share
from hami_core.model import ContainerShares, Device, DeviceShare, DeviceUse, Selector
from hami_core.verdict import Reason

_WHOLE_CARD_CORES = 100


@attrs.frozen(kw_only=True)
class Refusal:
    """Why a container found no place: cards counted by reason, out of `total`; `notes` has each refused card once."""

    ask: Ask
    index: int
    tally: dict[Reason, int]
    total: int
    notes: tuple[tuple[DeviceUse, Reason], ...] = ()


def walk(cards: Sequence[DeviceUse], ask: Ask, context: FitContext) -> tuple[Candidate, ...] | Refusal:
    """Pick `ask.request.count` of `cards` (least preferred first), or say why that cannot be."""
    refused = _impossible(cards, ask, context)
    if refused is not None:
        return Refusal(ask=ask, index=context.container_index, tally={refused[0]: 1}, total=refused[1])
    loop = _Loop(ask=ask, context=context, room_left=_room_check(ask, context))
    picks = loop.run(cards)
    if picks is None:
        return loop.refusal(len(cards))
    chooser = ask.loaded.fit.chooser
    if not loop.collects or chooser is None:
        return tuple(picks)
    chosen = tuple(chooser(picks, ask.request, context) or ())
    if len(chosen) == ask.request.count:
        return chosen
    return Refusal(
        ask=ask,
        index=context.container_index,
        tally={Reason.TOO_FEW: len(chosen)},
        total=ask.request.count,
        notes=tuple(loop.notes),
    )


def _impossible(cards: Sequence[DeviceUse], ask: Ask, context: FitContext) -> tuple[Reason, int] | None:
    too_few = ask.request.count > len(cards)
    if not cards or (too_few and not any(is_partitioned(card.device) for card in cards)):
        return Reason.NODE_TOO_SMALL, len(cards)
    gate = ask.loaded.fit.gate
    reason = gate(ask.request, context) if gate else None
    return None if reason is None else (reason, len(cards))


@attrs.define(kw_only=True)
class _Loop:
    """One walk: the picks so far and the tally of what was passed over."""

    ask: Ask
    context: FitContext
    room_left: Callable[[Sequence[Candidate], DeviceShare], bool] | None
    collects: bool = attrs.field(init=False)
    picks: list[Candidate] = attrs.field(factory=list)
    numa: int | None = None
    whole_group: list[Candidate] | None = None
    tally: dict[Reason, int] = attrs.field(factory=dict)
    notes: list[tuple[DeviceUse, Reason]] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        behaviour = self.ask.loaded.fit
        self.collects = behaviour.chooser is not None and behaviour.chooses(self.context.pod, self.ask.request)

    def run(self, cards: Sequence[DeviceUse]) -> list[Candidate] | None:
        """The picks, or None. With a chooser these are all cards that fit, of one NUMA node where the pod is bound."""
        for card in reversed(cards):
            if self._visit(card):
                return self.picks
        self._close_group()
        return self.whole_group

    def _visit(self, card: DeviceUse) -> bool:
        reason = unusable(card, self.ask.selector)
        if reason is None:
            self._enter_numa(card.device.numa)
        use, count = card, self.ask.request.count
        for _ in range(count):
            share = None
            if reason is None:
                reason, share = self._try(use)
            if share is None:
                assert reason is not None
                self.tally[reason] = self.tally.get(reason, 0) + 1
                self.notes.append((card, reason))
                return False
            self.picks.append(Candidate(use=use, share=share))
            if len(self.picks) == count and not self.collects:
                return True
            if not is_partitioned(card.device):
                return False
            use = with_share(use, share)
        return False

    def _enter_numa(self, numa: int) -> None:
        """Start over where a bound pod's walk enters another NUMA node: its cards must all lie on one."""
        if not self.ask.selector.numa_bind or numa == self.numa:
            return
        if self.picks and not self.collects:
            self.tally[Reason.NUMA] = self.tally.get(Reason.NUMA, 0) + len(self.picks)
            self.notes.extend((pick.use, Reason.NUMA) for pick in self.picks)
        self._close_group()
        self.picks = []
        self.numa = numa

    def _close_group(self) -> None:
        if self.collects and len(self.picks) >= self.ask.request.count:
            self.whole_group = self.picks

    def _try(self, use: DeviceUse) -> tuple[Reason | None, DeviceShare | None]:
        ask, device = self.ask, use.device
        if not uuid_accepted(device.uuid, ask.selector):
            return Reason.UUID_MISMATCH, None
        share = DeviceShare(
            uuid=device.uuid, memory_mib=ask.request.memory_on(device.memory_mib), core_units=ask.core_units
        )
        reason = self._too_full(use, share)
        if reason is not None or not is_partitioned(device):
            return reason, share if reason is None else None
        partitioner = ask.loaded.fit.partitioner
        found = partitioner(use, share.memory_mib, ask.request) if partitioner else None
        if found is None:
            return Reason.PARTITION, None
        partition, memory_mib, core_units = found
        return None, attrs.evolve(share, memory_mib=memory_mib, core_units=core_units, partition=partition)

    def _too_full(self, use: DeviceUse, share: DeviceShare) -> Reason | None:
        trial = _Trial(self, use, share, self._core_total(use.device))
        for reason, refuses in _RULES:
            if refuses(trial):
                return reason
        for rule in self.ask.loaded.fit.rules:
            if not rule.test(use, self.ask.request, self.context):
                return rule.reason
        return None

    def _core_total(self, device: Device) -> int:
        effective = self.ask.loaded.fit.effective_cores
        return effective(device, self.context) if effective else device.core_units

    def card_beyond_limit(self, uuid: str) -> bool:
        """Whether this card would be one too many for the pod (`Family.cards_per_pod`)."""
        limit = self.ask.loaded.family.cards_per_pod
        if limit is None:
            return False
        name = self.ask.request.family
        held = {share.uuid for container in self.context.earlier for share in container.shares.get(name, ())}
        return len(held) >= limit and uuid not in held

    def refusal(self, total: int) -> Refusal:
        """The tally, with the picks that were not enough."""
        if self.picks:
            self.tally[Reason.TOO_FEW] = len(self.picks)
        return Refusal(
            ask=self.ask,
            index=self.context.container_index,
            tally=self.tally,
            total=total,
            notes=tuple(self.notes),
        )


@attrs.frozen
class _Trial:
    """A share tried on a card; `cores` is the total to check against."""

    loop: _Loop
    use: DeviceUse
    share: DeviceShare
    cores: int


def _no_slot(trial: _Trial) -> bool:
    return trial.use.slots_used >= trial.use.device.slots


def _not_alone(trial: _Trial) -> bool:
    return trial.loop.ask.order.exclusive and trial.use.slots_used > 0


def _over_quota(trial: _Trial) -> bool:
    return trial.loop.room_left is not None and not trial.loop.room_left(trial.loop.picks, trial.share)


def _no_memory(trial: _Trial) -> bool:
    return trial.use.device.memory_mib - trial.use.memory_used_mib < trial.share.memory_mib


def _no_cores(trial: _Trial) -> bool:
    return trial.cores - trial.use.core_units_used < trial.share.core_units


def _wants_whole_but_shared(trial: _Trial) -> bool:
    wants_whole = trial.cores == _WHOLE_CARD_CORES and trial.share.core_units == MAX_CORE_REQUEST
    return wants_whole and trial.use.slots_used > 0


def _fully_booked(trial: _Trial) -> bool:
    # A request without cores has no core limit, which a card whose cores are all promised cannot give.
    return trial.cores > 0 and trial.use.core_units_used == trial.cores and trial.share.core_units == 0


def _beyond_limit(trial: _Trial) -> bool:
    return trial.loop.card_beyond_limit(trial.use.device.uuid)


_RULES: tuple[tuple[Reason, Callable[[_Trial], bool]], ...] = (
    (Reason.SLOTS_EXHAUSTED, _no_slot),
    (Reason.EXCLUSIVE, _not_alone),
    (Reason.QUOTA, _over_quota),
    (Reason.MEMORY, _no_memory),
    (Reason.CORES, _no_cores),
    (Reason.EXCLUSIVE, _wants_whole_but_shared),
    (Reason.CORES_EXHAUSTED, _fully_booked),
    (Reason.CUSTOM_RULE, _beyond_limit),
)


def unusable(use: DeviceUse, selector: Selector) -> Reason | None:
    """Why the card is out of the question for this pod whatever is free on it, or None."""
    device = use.device
    if not device.healthy:
        return Reason.UNHEALTHY
    if use.cordoned:
        return Reason.CORDONED
    return None if type_accepted(device, selector) else Reason.TYPE_MISMATCH


def type_accepted(device: Device, selector: Selector) -> bool:
    """Whether the card's model and mode are ones the pod accepts."""
    if selector.mode is not None and device.mode not in selector.mode:
        return False
    if not selector.allow_types and not selector.deny_types:
        return True
    model = device.model.casefold()
    allowed = not selector.allow_types or any(word.casefold() in model for word in selector.allow_types)
    return allowed and not any(word.casefold() in model for word in selector.deny_types)


def uuid_accepted(uuid: str, selector: Selector) -> bool:
    """Whether the pod accepts this very card."""
    return (not selector.allow_uuids or uuid in selector.allow_uuids) and uuid not in selector.deny_uuids


def _room_check(ask: Ask, context: FitContext) -> Callable[[Sequence[Candidate], DeviceShare], bool] | None:
    """A test of the namespace quota with a further share, or None where there is no quota."""
    room = ask.room
    if room is None:
        return None
    name, kind = ask.request.family, context.pod.containers[context.container_index].kind

    def left(picks: Sequence[Candidate], share: DeviceShare) -> bool:
        shares = (*(pick.share for pick in picks), share)
        now = ContainerShares(kind=kind, shares={name: shares})
        memory_mib, core_units = family_totals(taken_by((*context.earlier, now)))[name]
        return (room.memory_mib is None or memory_mib <= room.memory_mib) and (
            room.core_units is None or core_units <= room.core_units
        )

    return left
