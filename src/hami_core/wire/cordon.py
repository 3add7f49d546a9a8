"""``hami.io/device-cordon``: cards of a node that an operator has taken out of service, for any vendor."""

from __future__ import annotations

from collections.abc import Mapping

CORDON = "hami.io/device-cordon"


def cordoned(annotations: Mapping[str, str]) -> frozenset[str]:
    """UUIDs of the node's cordoned cards: a comma list, blanks tolerated."""
    return frozenset(entry.strip() for entry in annotations.get(CORDON, "").split(",") if entry.strip())
