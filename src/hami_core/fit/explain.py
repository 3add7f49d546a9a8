"""From a refusal to the verdict people read: the tally, and per card the numbers behind its reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from hami_core.fit.plan import Ask
from hami_core.fit.state import Card, Holding
from hami_core.fit.walk import Refusal
from hami_core.model import DeviceUse
from hami_core.verdict import DeviceReason, Reason, Rejected

_HOLDERS_SHOWN = 3
_ABOUT_HOLDERS = frozenset(
    {
        Reason.SLOTS_EXHAUSTED,
        Reason.CORES_EXHAUSTED,
        Reason.MEMORY,
        Reason.CORES,
        Reason.EXCLUSIVE,
        Reason.PARTITION,
    }
)


def bare(reason: Reason, total: int = 0) -> Rejected:
    """A rejection that is about the node, not about its cards."""
    return Rejected(tally=MappingProxyType({reason: 1}), total=total)


def rejection(refusal: Refusal, container: str, holdings: Iterable[Holding] | None) -> Rejected:
    """The verdict for a refusal of that container.

    Args:
        refusal: what the walk found.
        container: the name of the container that found no place.
        holdings: what is held on the node, for the details; None leaves them out.
    """
    return Rejected(
        tally=MappingProxyType(dict(sorted(refusal.tally.items()))),
        total=refusal.total,
        devices=() if holdings is None else _devices(refusal, _holders(holdings)),
        container=container,
    )


def _devices(refusal: Refusal, holders: Mapping[Card, list[tuple[str, int]]]) -> tuple[DeviceReason, ...]:
    family = refusal.ask.request.family
    return tuple(
        DeviceReason(
            uuid=use.device.uuid,
            family=family,
            reason=reason,
            detail=detail(use, reason, refusal.ask, holders.get((family, use.device.uuid), ())),
        )
        for use, reason in refusal.notes
    )


def detail(use: DeviceUse, reason: Reason, ask: Ask, holders: Sequence[tuple[str, int]] = ()) -> str:
    """One card, why it was passed over, with numbers: asked, free, total, and who holds it."""
    device = use.device
    text = f"{device.uuid} ({short_model(device.model, device.family)}): {_why(use, reason, ask)}"
    if reason not in _ABOUT_HOLDERS or not holders:
        return text
    shown = ", ".join(f"{label} ({memory_mib} MiB)" for label, memory_mib in holders[:_HOLDERS_SHOWN])
    more = len(holders) - _HOLDERS_SHOWN
    return f"{text}; held by {shown}{f' and {more} more' if more > 0 else ''}"


def short_model(model: str, family: str) -> str:
    """The model without the family's name before it: ``A40`` for ``NVIDIA-NVIDIA A40``."""
    short = model
    while short.lower().startswith(family.lower()) and short[len(family) : len(family) + 1] in ("-", " "):
        short = short[len(family) + 1 :]
    return short or model or family


def _why(use: DeviceUse, reason: Reason, ask: Ask) -> str:
    words = _WORDS.get(reason)
    return words(use, ask) if words else str(reason)


def _memory(use: DeviceUse, ask: Ask) -> str:
    total = use.device.memory_mib
    asked, free = ask.request.memory_on(total), total - use.memory_used_mib
    over = f", over-committed by {-free} MiB" if free < 0 else ""
    return f"{asked} MiB asked, {max(0, free)} MiB free of {total}{over}"


def _cores(use: DeviceUse, ask: Ask) -> str:
    unit = _unit(ask)
    return f"{ask.core_units} {unit} of cores asked, {use.core_units_free} free of {use.device.core_units}"


def _unit(ask: Ask) -> str:
    return ask.loaded.family.units.core_unit


def _slots(use: DeviceUse, _ask: Ask) -> str:
    return f"all {use.device.slots} slots taken"


def _no_cores(use: DeviceUse, ask: Ask) -> str:
    return f"no cores asked, but all {use.device.core_units} {_unit(ask)} are booked"


def _shared(use: DeviceUse, ask: Ask) -> str:
    who = f"{use.slots_used} container{'s' if use.slots_used != 1 else ''}"
    return f"wanted alone ({'policy' if ask.order.exclusive else 'all cores'}), used by {who}"


def _partition(use: DeviceUse, ask: Ask) -> str:
    asked = ask.request.memory_on(use.device.memory_mib)
    taken = ", ".join(f"{p.profile} at {p.placement.start}" for p in use.partitions) or "none"
    return f"no free partition of {asked} MiB or more; taken: {taken}"


def _type(use: DeviceUse, ask: Ask) -> str:
    chosen = ask.selector
    wants = [f"wants {' or '.join(chosen.allow_types)}"] if chosen.allow_types else []
    wants += [f"refuses {' and '.join(chosen.deny_types)}"] if chosen.deny_types else []
    wants += [f"wants mode {chosen.mode}, the card's is {use.device.mode or 'none'}"] if chosen.mode is not None else []
    return f"the pod {', '.join(wants)}"


def _uuid(use: DeviceUse, ask: Ask) -> str:
    denied = use.device.uuid in ask.selector.deny_uuids
    return "the pod refuses this card" if denied else "the pod wants other cards by uuid"


def _quota(use: DeviceUse, ask: Ask) -> str:
    room = ask.room
    assert room is not None
    left = [] if room.memory_mib is None else [f"{max(0, room.memory_mib)} MiB"]
    left += [] if room.core_units is None else [f"{max(0, room.core_units)} {_unit(ask)} of cores"]
    wanted = f"{ask.request.memory_on(use.device.memory_mib)} MiB and {ask.core_units} {_unit(ask)} of cores asked"
    return f"{wanted}, the namespace's quota leaves {' and '.join(left)} for the pod"


_WORDS = {
    Reason.UNHEALTHY: lambda _use, _ask: "reported unhealthy, or held in a way that contradicts its mode",
    Reason.CORDONED: lambda _use, _ask: "cordoned by hami.io/device-cordon on the node",
    Reason.TYPE_MISMATCH: _type,
    Reason.UUID_MISMATCH: _uuid,
    Reason.SLOTS_EXHAUSTED: _slots,
    Reason.EXCLUSIVE: _shared,
    Reason.QUOTA: _quota,
    Reason.MEMORY: _memory,
    Reason.CORES: _cores,
    Reason.CORES_EXHAUSTED: _no_cores,
    Reason.NUMA: lambda use, _ask: f"fits, but its NUMA node {use.device.numa} has too few such cards",
    Reason.CUSTOM_RULE: lambda _use, _ask: "the pod's containers must share the card they already have",
    Reason.PARTITION: _partition,
}


def _holders(holdings: Iterable[Holding]) -> Mapping[Card, list[tuple[str, int]]]:
    """Labels and memory MiB of the pods on each card, the largest first."""
    found: dict[Card, list[tuple[str, int]]] = {}
    for held in holdings:
        for card, taken in held.taken:
            found.setdefault(card, []).append((held.label, taken.memory_mib))
    for on_card in found.values():
        on_card.sort(key=lambda holder: (-holder[1], holder[0]))
    return found
