"""Which cards of a node belong together: network rings on the 910 chips, modules of two cards on the 910C."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence

import attrs

from hami_ascend.config import ChipSettings, settings_of
from hami_core.behaviour import Candidate, Chooser, FitContext
from hami_core.family import Family
from hami_core.model import Device, DeviceRequest, DeviceUse, Placement, PodRequest

RING = "NetworkID"  # in the register's custominfo
_CARDS_PER_MODULE = 2
_RING_WEIGHT = 10.0


def ring_of(device: Device) -> float | None:
    """The ring a card is on, or None where its node does not say."""
    ring = device.custom.get(RING)
    return float(ring) if isinstance(ring, int | float) and not isinstance(ring, bool) else None


def wants_topology(settings: ChipSettings) -> Callable[[PodRequest, DeviceRequest], bool]:
    """Whether the place of the cards matters to a request: only where it asks for several."""
    return lambda _pod, request: request.count > 1 and (settings.in_pairs or settings.has_rings)


def choose_cards(settings: ChipSettings) -> Chooser:
    """Modules where cards come in pairs, else rings."""
    return _modules if settings.in_pairs else _rings


def _modules(candidates: Sequence[Candidate], request: DeviceRequest, context: FitContext) -> Sequence[Candidate]:
    """Complete modules only, in the order their first card comes in; fewer than asked for where there are no more."""
    modules: dict[int, list[Candidate]] = {}
    for candidate in candidates:
        modules.setdefault(candidate.use.device.index // _CARDS_PER_MODULE, []).append(candidate)
    complete = [card for cards in modules.values() if len(cards) == _CARDS_PER_MODULE for card in cards]
    return complete[: request.count // _CARDS_PER_MODULE * _CARDS_PER_MODULE]


def _rings(candidates: Sequence[Candidate], request: DeviceRequest, context: FitContext) -> Sequence[Candidate]:
    """From the ring with most free cards first; a node that names no rings gives its cards in order."""
    rings: dict[float, list[Candidate]] = {}
    for candidate in candidates:
        ring = ring_of(candidate.use.device)
        if ring is None:
            return candidates[: request.count]
        rings.setdefault(ring, []).append(candidate)
    # A stable sort: rings of equal size stay in the order the policy prefers their first card in.
    by_size = sorted(rings.values(), key=len, reverse=True)
    return [card for cards in by_size for card in cards][: request.count]


def _evenly(count: int, rings: Sequence[int]) -> int:
    """How many of `count` cards are on one ring at least, when rings of these sizes share them evenly."""
    return next((most for most in range(1, rings[0]) if sum(min(most, ring) for ring in rings) >= count), rings[0])


@attrs.frozen(kw_only=True)
class RingScore:
    """Prefers nodes where the cards of each container are on one ring."""

    family: Family
    ceiling: float = attrs.field(default=_RING_WEIGHT, init=False)

    def layout(self, devices: Sequence[Device]) -> Hashable:
        """How many cards each ring has, the largest first, and whether some card names no ring."""
        rings = Counter(map(ring_of, devices))
        nameless = bool(rings.pop(None, 0))
        return nameless, tuple(sorted(rings.values(), reverse=True))

    def bounds(self, layout: Hashable, request: PodRequest, choice: int) -> tuple[float, float]:
        """Least with the free cards spread evenly over the rings, most with as many as can be on the largest."""
        assert isinstance(layout, tuple)
        nameless, rings = layout
        counts = [asked.count for container in request.containers for asked in container.devices if self._mine(asked)]
        if not rings:
            return 0.0, 0.0
        most = sum(_RING_WEIGHT * min(count, rings[0]) / count for count in counts)
        if nameless:
            return 0.0, most
        # Where rings are chosen, the one that has most free cards comes first; modules are taken from any ring.
        free = 0 if settings_of(self.family).in_pairs else choice
        best_rings = ((count, min(count, _evenly(max(count, free), rings))) for count in counts)
        return sum(_RING_WEIGHT * cards / count for count, cards in best_rings), most

    def _mine(self, asked: DeviceRequest) -> bool:
        return asked.family == self.family.name

    def __call__(self, placement: Placement, uses: Mapping[str, DeviceUse], request: PodRequest) -> float:
        """Ten points a container, less where its cards are spread; 0 for a node that names no rings."""
        score = 0.0
        for shares in placement.shares_of(self.family.name):
            rings = [ring_of(uses[share.uuid].device) for share in shares]
            if None in rings:
                return 0.0
            if rings:
                score += _RING_WEIGHT * max(rings.count(ring) for ring in rings) / len(rings)
        return score
