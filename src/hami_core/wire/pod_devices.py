"""The shares of a pod in an annotation, one family each: ``uuid,type,mem,cores:`` per card, ``;`` per container.

Containers come init first, then app, an empty entry for one without cards. The to-allocate annotation, which the node
empties container by container, and the permanent allocated one share this grammar.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from hami_core.errors import BadWire, shown
from hami_core.model import DeviceShare
from hami_core.units import INT32_MAX

_FIELDS = 4  # further fields are ignored, as HAMi ignores them
_WHOLE = re.compile(r"\+?[0-9]{1,19}", re.ASCII)


def decode_pod_devices(text: str, *, what: str) -> tuple[tuple[DeviceShare, ...], ...]:
    """Decode one tuple of shares per container.

    The type field is not read: HAMi's writers leave it empty at times, and the annotation's key says the family.

    Raises:
        BadWire: a card with too few fields, an empty uuid, or a number that is negative or no int32.
    """
    parts = text.split(";")
    if parts[-1] == "":
        # Every container ends with ';', so what follows the last one is no container.
        parts.pop()
    return tuple(_container(part, what, number) for number, part in enumerate(parts))


def encode_pod_devices(containers: Sequence[Sequence[DeviceShare]], *, family: str) -> str:
    """Encode the shares of one family.

    Raises:
        BadWire: a uuid or the family's name holds one of the grammar's own marks.
    """
    return "".join(f"{encode_container(shares, family=family)};" for shares in containers)


def encode_container(shares: Sequence[DeviceShare], *, family: str) -> str:
    """Encode the shares of one container, without the closing ``;``.

    Raises:
        BadWire: as `encode_pod_devices`.
    """
    return "".join(f"{_plain(s.uuid)},{_plain(family)},{s.memory_mib},{s.core_units}:" for s in shares)


def _container(part: str, what: str, number: int) -> tuple[DeviceShare, ...]:
    # Pieces without a comma are skipped, as in HAMi: only the emptiness after the last ':' is one in practice.
    pieces = [piece for piece in part.split(":") if "," in piece]
    return tuple(_share(piece, what, f"container {number}, card {i}") for i, piece in enumerate(pieces))


def _share(piece: str, what: str, at: str) -> DeviceShare:
    fields = piece.split(",")
    if len(fields) < _FIELDS:
        problem = f"has {len(fields)} fields, not uuid,type,memory,cores; got {shown(piece)}"
        raise BadWire(what=what, position=at, problem=problem)
    if not fields[0]:
        raise BadWire(what=what, position=f"{at}, field uuid", problem=f"must not be empty; got {shown(piece)}")
    return DeviceShare(
        uuid=fields[0],
        memory_mib=_number(fields[2], what, f"{at}, field memory"),
        core_units=_number(fields[3], what, f"{at}, field cores"),
    )


def _number(text: str, what: str, at: str) -> int:
    if _WHOLE.fullmatch(text) is None or int(text) > INT32_MAX:
        raise BadWire(what=what, position=at, problem=f"must be a whole number, 0 to {INT32_MAX}; got {shown(text)}")
    return int(text)


def _plain(text: str) -> str:
    if any(mark in text for mark in ",:;"):
        raise BadWire(what="pod devices", problem=f"must not contain ',', ':' or ';'; got {shown(text)}")
    return text
