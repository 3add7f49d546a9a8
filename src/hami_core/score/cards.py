"""The score of a card, and the order in which a node's cards are tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from hami_core.model import DeviceRequest, DeviceUse, ScoringWeights
from hami_core.score.builtin import DEFAULT_DEVICE_POLICY, NUMA_POLICY, SCALE, SPREAD_CARDS
from hami_core.score.policy import DevicePolicy, Policy, PolicyKind


def card_scores(
    cards: Sequence[DeviceUse], requests: Sequence[DeviceRequest], weights: ScoringWeights
) -> tuple[float, ...]:
    """How full each card would be with `requests` on it: ten points a resource, weighted; 0 where a total is 0.

    A request counts once, whatever its count, and only on cards registered under the bare family name (``MLU``, not
    ``NVIDIA-NVIDIA A40``). That and the float32 arithmetic are HAMi's: the order of cards decides what a pod gets.
    """
    asked = _Asked(requests)
    table = np.array([asked.beside(card) for card in cards], dtype=np.float32).reshape(-1, 3, 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = table[:, :, 0] / table[:, :, 1] * np.array((weights.slot, weights.core, weights.memory), np.float32)
        scores = SCALE * (shares[:, 0] + shares[:, 1] + shares[:, 2])
    scores[(table[:, :, 1] == 0).any(axis=1)] = 0
    return tuple(scores.tolist())


@attrs.frozen
class _Asked:
    """What a container's requests come to on a card; cards of one model and size share the answer."""

    requests: Sequence[DeviceRequest]
    _known: dict[tuple[str, int], tuple[int, int, int]] = attrs.field(factory=dict)

    def beside(self, card: DeviceUse) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """Used with the requests and total, of slots, cores and memory."""
        device = card.device
        kind = device.model, device.memory_mib
        if kind not in self._known:
            self._known[kind] = self._on(*kind)
        slots, cores, memory_mib = self._known[kind]
        return (
            (card.slots_used + slots, device.slots),
            (card.core_units_used + cores, device.core_units),
            (card.memory_used_mib + memory_mib, device.memory_mib),
        )

    def _on(self, model: str, total_mib: int) -> tuple[int, int, int]:
        mine = [request for request in self.requests if request.family == model]
        return len(mine), sum(r.core_units for r in mine), sum(r.memory_on(total_mib) for r in mine)


@attrs.frozen(kw_only=True)
class CardOrder:
    """A device policy as a pod names it: one name, or a comma chain of them, with or without NUMA binding."""

    policies: tuple[DevicePolicy, ...]
    chain: bool
    exclusive: bool
    numa_bind: bool = False

    def arrange(
        self, cards: Sequence[DeviceUse], requests: Sequence[DeviceRequest], weights: ScoringWeights
    ) -> list[DeviceUse]:
        """Return `cards` with the most preferred last. Equals keep their order."""
        if len(cards) < 2:  # noqa: PLR2004 - nothing to order
            return list(cards)
        scores = card_scores(cards, requests, weights)
        keys = [self._key(card, score) for card, score in zip(cards, scores, strict=True)]
        return [cards[place] for place in sorted(range(len(cards)), key=keys.__getitem__)]

    def _key(self, card: DeviceUse, score: float) -> tuple[float, ...]:
        preferences = tuple(policy.preference(card, score) for policy in self.policies)
        numa = card.device.numa
        if self.chain:
            return (*((numa,) if self.numa_bind else ()), *preferences, card.device.index)
        if self.numa_bind:
            return (-numa if self.policies[0].low_numa_first else numa, *preferences)
        return (*preferences, numa)


def card_order(text: str, policies: Mapping[tuple[str, str], Policy], *, numa_bind: bool = False) -> CardOrder:
    """Resolve the value of ``hami.io/gpu-scheduler-policy``. Unknown names are left out; where none is left: spread."""
    names = [name.strip() for name in text.split(",")]
    known = [policy for name in names if isinstance(policy := policies.get((PolicyKind.DEVICE, name)), DevicePolicy)]
    exclusive = any(policy.exclusive for policy in known)
    if len(names) > 1 or names[0] == NUMA_POLICY:
        keys = tuple(policy for policy in known if policy.in_chain)
        spread = _default(policies)
        return CardOrder(policies=keys or (spread,), chain=True, exclusive=exclusive, numa_bind=numa_bind)
    first = known[0] if known else _default(policies)
    return CardOrder(policies=(first,), chain=False, exclusive=exclusive, numa_bind=numa_bind)


def _default(policies: Mapping[tuple[str, str], Policy]) -> DevicePolicy:
    found = policies.get((PolicyKind.DEVICE, DEFAULT_DEVICE_POLICY))
    return found if isinstance(found, DevicePolicy) else SPREAD_CARDS
