"""Choosing GPUs by how they are connected: the policy ``topology-aware``."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import attrs

from hami_core.behaviour import Candidate, FitContext
from hami_core.family import Family
from hami_core.model import Device, DeviceRequest, PodRequest
from hami_core.objects import NodeFacts
from hami_core.wire.pair_scores import PAIR_SCORES, decode_pair_scores
from hami_core.wire.register import RegisterCodec

POLICY = "topology-aware"
PEERS = "pairScores"

# Choosing k of n cards means looking at n!/(k!(n-k)!) sets. Sixteen cards have at most 12,870 of them, which takes some
# 20 ms; beyond this bound the set is grown card by card instead, which finds good sets but not always the best.
MOST_SETS = 13_000


@attrs.frozen
class ScoredCodec:
    """The register of a node, each device carrying its scores towards the others."""

    family: Family

    def decode(self, node: NodeFacts) -> tuple[Device, ...]:
        """Devices of `node`.

        Raises:
            BadWire: the register or the score annotation is malformed.
        """
        devices = RegisterCodec(self.family).decode(node)
        text = node.annotations.get(PAIR_SCORES)
        if not devices or not text:
            return devices
        scores = decode_pair_scores(text, what=f"node {node.name}: annotation {PAIR_SCORES}")
        return tuple(
            attrs.evolve(device, custom={PEERS: scores[device.uuid]}) if device.uuid in scores else device
            for device in devices
        )


def wants_topology(pod: PodRequest, request: DeviceRequest) -> bool:  # noqa: ARG001 - the protocol's
    """Whether the pod asks for connected cards."""
    return pod.device_policy == POLICY


def choose_connected(
    candidates: Sequence[Candidate],
    request: DeviceRequest,
    context: FitContext,  # noqa: ARG001 - the protocol's
) -> Sequence[Candidate] | None:
    """The set of cards with the highest sum of pair scores; a single card is the least connected one.

    Ties go to the set whose cards come first in `candidates`, which come most preferred first.
    """
    count = request.count
    if len(candidates) <= count:
        return list(candidates) if len(candidates) == count else None
    if count == 1:
        return [_least_connected(candidates)]
    if math.comb(len(candidates), count) > MOST_SETS:
        return _grown(candidates, count)
    return max(itertools.combinations(candidates, count), key=_together)


def _least_connected(candidates: Sequence[Candidate]) -> Candidate:
    uuids = {candidate.use.device.uuid for candidate in candidates}

    def total(candidate: Candidate) -> int:
        mine = candidate.use.device.uuid
        return sum(score for peer, score in _peers(candidate).items() if peer in uuids and peer != mine)

    return min(candidates, key=total)


def _together(chosen: Sequence[Candidate]) -> int:
    return sum(_peers(a).get(b.use.device.uuid, 0) for a, b in itertools.combinations(chosen, 2))


def _grown(candidates: Sequence[Candidate], count: int) -> list[Candidate]:
    """Start from the best pair, then add the card that adds most, until there are `count`."""
    first = max(
        itertools.combinations(range(len(candidates)), 2), key=lambda pair: _together([candidates[i] for i in pair])
    )
    picked = list(first)
    while len(picked) < count:
        rest = [i for i in range(len(candidates)) if i not in picked]
        picked.append(max(rest, key=lambda i: sum(_together([candidates[j], candidates[i]]) for j in picked)))
    return [candidates[i] for i in sorted(picked)]


def _peers(candidate: Candidate) -> Mapping[str, int]:
    peers: Mapping[str, int] = candidate.use.device.custom.get(PEERS, {})
    return peers
