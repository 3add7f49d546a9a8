"""``hami.io/device-cordon``: cards of a node that an operator has taken out of service, for any vendor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

CORDON = "hami.io/device-cordon"


def cordoned(annotations: Mapping[str, str]) -> frozenset[str]:
    """UUIDs of the node's cordoned cards: a comma list, blanks tolerated."""
    return frozenset(decode_cordon(annotations.get(CORDON, "")))


def decode_cordon(text: str) -> tuple[str, ...]:
    """UUIDs in the order in which they are written, each once."""
    return tuple(dict.fromkeys(entry.strip() for entry in text.split(",") if entry.strip()))


def encode_cordon(uuids: Iterable[str]) -> str:
    """The annotation, each card once."""
    return ",".join(dict.fromkeys(uuids))
