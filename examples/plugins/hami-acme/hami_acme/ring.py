"""Eight cards form a ring; a container with several wants neighbours, because traffic passes every card in between."""

from __future__ import annotations

from collections.abc import Sequence

from hami_core import DeviceRequest, PodRequest
from hami_core.behaviour import Candidate, FitContext

from hami_acme.register import PLACE, RING

RING_SIZE = 8


def wants_neighbours(pod: PodRequest, request: DeviceRequest) -> bool:
    """Only where several cards are asked for is there anything to choose."""
    return request.count > 1


def choose_neighbours(
    candidates: Sequence[Candidate], request: DeviceRequest, context: FitContext
) -> Sequence[Candidate] | None:
    """The shortest stretch of one ring with `request.count` free cards; None where no ring has as many.

    Of stretches of one length the one on the lower ring, then from the lower place, is taken. Each start on each ring
    is looked at once, so the cost grows with the number of cards, not of sets of them.
    """
    rings: dict[int, dict[int, Candidate]] = {}
    for candidate in candidates:
        custom = candidate.use.device.custom
        rings.setdefault(int(custom.get(RING, 0)), {})[int(custom.get(PLACE, candidate.use.device.index))] = candidate
    stretches = [
        stretch
        for ring, cards in sorted(rings.items())
        for start in sorted(cards)
        if (stretch := _stretch(ring, cards, start, request.count)) is not None
    ]
    if not stretches:
        return None
    _, ring, places = min(stretches)
    return [rings[ring][place] for place in places]


def _stretch(ring: int, cards: dict[int, Candidate], start: int, count: int) -> tuple[int, int, tuple[int, ...]] | None:
    """Length, ring and places of the cards met first when walking round from `start`."""
    size = max(RING_SIZE, max(cards) + 1)
    places = sorted(cards, key=lambda place: (place - start) % size)[:count]
    if len(places) < count:
        return None
    return (places[-1] - start) % size, ring, tuple(places)
