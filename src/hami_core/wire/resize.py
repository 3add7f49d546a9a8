"""``hami.io/resize``: what a container's share shall be from now on, and what became of that wish.

Whoever may patch a pod may ask; the scheduler that leads checks and answers in an annotation that only it may write,
and the node says in another when the limits in the container are the new ones.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from hami_core.errors import BadWire
from hami_core.units import INT32_MAX

RESIZE = "hami.io/resize"
RESIZED = "hami.io/resize-status"
APPLIED = "hami.io/resize-applied"

_MOST_BYTES = 4096

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")]
Amount = Annotated[int, msgspec.Meta(ge=1, le=INT32_MAX)]


class ResizeRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A wish. `id` tells two wishes apart; `memory_mib` and `cores` are for each of the container's cards.

    `cores` are in the family's own unit, percent for most; None leaves a part as it is.
    """

    id: Id
    memory_mib: Amount | None = msgspec.field(default=None, name="memoryMiB")
    cores: Amount | None = None
    container: str | None = None  # None: the only one with a share
    family: str | None = None  # None: the only one it has cards of


class ResizeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the wish `id`."""

    id: Id
    outcome: Literal["done", "refused"]
    message: str = ""


class ResizeApplied(msgspec.Struct, frozen=True, kw_only=True):
    """That the node has carried the wish `id` out, and what is to be said of it."""

    id: Id
    message: str = ""


def decode_request(text: str, *, what: str) -> ResizeRequest:
    """Read a wish.

    Raises:
        BadWire: not JSON of this form, or nothing is wished for.
    """
    if len(text) > _MOST_BYTES:
        raise BadWire(what=what, problem=f"has {len(text)} characters, the most is {_MOST_BYTES}")
    try:
        found = msgspec.json.decode(text, type=ResizeRequest)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as err:
        raise BadWire(what=what, problem=str(err)) from err
    if found.memory_mib is None and found.cores is None:
        raise BadWire(what=what, problem="must have memoryMiB or cores")
    return found


def decode_status(text: str) -> ResizeStatus | None:
    """Read an answer; None where there is none that can be read."""
    try:
        return msgspec.json.decode(text, type=ResizeStatus)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def decode_applied(text: str) -> ResizeApplied | None:
    """Read what the node said; None where there is nothing that can be read."""
    try:
        return msgspec.json.decode(text, type=ResizeApplied)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def encode(value: ResizeRequest | ResizeStatus | ResizeApplied) -> str:
    """The annotation's text."""
    return msgspec.json.encode(value).decode()
