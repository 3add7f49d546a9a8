"""Finding the card that somebody means by the beginning of its UUID."""

from __future__ import annotations

from collections.abc import Iterable

from hami_core.errors import UnknownName


def complete_uuid(known: Iterable[str], start: str, *, where: str = "") -> str:
    """The one of the `known` UUIDs that is `start`, or begins with it; `where` is said in the message.

    Raises:
        UnknownName: none, or more than one.
    """
    known = sorted(set(known))
    matches = [uuid for uuid in known if uuid == start] or [uuid for uuid in known if start and uuid.startswith(start)]
    if len(matches) != 1:
        kind = ("single card" if matches else "card") + (f" of {where}" if where else "")
        raise UnknownName(kind=kind, name=start, known=tuple(matches or known))
    return matches[0]
