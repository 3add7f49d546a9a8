"""``hami.io/node-nvidia-score``: how well each pair of a node's cards is connected, the higher the better."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from hami_core.errors import BadWire, shown
from hami_core.units import INT32_MAX
from hami_core.wire.fields import Fields, json_list

PAIR_SCORES = "hami.io/node-nvidia-score"

PairScores = Mapping[str, Mapping[str, int]]


def decode_pair_scores(text: str, *, what: str) -> PairScores:
    """Decode the annotation into uuid -> peer uuid -> score.

    Raises:
        BadWire: not a JSON array of ``{"uuid":..,"score":{peer:number}}``, or a uuid twice.
    """
    scores: dict[str, Mapping[str, int]] = {}
    for number, raw in enumerate(json_list(text, what)):
        fields = Fields.of(raw, what, f"entry {number}")
        uuid = fields.text("uuid", needed=True)
        if uuid in scores:
            raise BadWire(what=what, position=fields.at, problem=f"uuid {shown(uuid)} is there twice")
        peers = fields.mapping("score")
        for peer, score in peers.items():
            if not isinstance(score, int) or isinstance(score, bool) or abs(score) > INT32_MAX:
                problem = f"the score of {shown(peer)} must be a whole number; got {shown(score)}"
                raise BadWire(what=what, position=fields.at, problem=problem)
        scores[uuid] = MappingProxyType(dict(peers))
    return MappingProxyType(scores)


def encode_pair_scores(scores: PairScores) -> str:
    """Encode the annotation, in the order given."""
    return msgspec.json.encode([{"uuid": uuid, "score": dict(peers)} for uuid, peers in scores.items()]).decode()
