"""The node lock annotation: ``time`` or ``time,namespace,pod``, the time as RFC 3339 with whole seconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import attrs

from hami_core.errors import BadWire, shown

_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})", re.ASCII
)
_WITH_OWNER = 3  # time, namespace, pod


@attrs.frozen(kw_only=True)
class LockValue:
    """Since when a node is locked, and by which pod; older HAMi and Cambricon's lock name no owner."""

    since: datetime
    owner: tuple[str, str] | None = None  # namespace, pod

    def held_by(self, namespace: str, pod: str) -> bool:
        """Whether this pod holds the lock; a lock without an owner is nobody's in particular."""
        return self.owner == (namespace, pod)

    def expired(self, now: datetime, timeout_s: float) -> bool:
        """Whether the lock is older than `timeout_s` and may be taken over."""
        return now - self.since > timedelta(seconds=timeout_s)


def decode_lock(text: str, *, what: str) -> LockValue:
    """Decode a lock.

    A caller must not wait on a lock that it cannot read: HAMi does, and the node then stays blocked for ever.

    Raises:
        BadWire: not a time, or neither one nor three fields.
    """
    fields = text.split(",")
    if len(fields) not in (1, _WITH_OWNER):
        problem = f"must be time or time,namespace,pod; got {shown(text)}"
        raise BadWire(what=what, problem=problem)
    owner = (fields[1], fields[2]) if len(fields) == _WITH_OWNER else None
    return LockValue(since=decode_time(fields[0], what=what), owner=owner)


def encode_lock(value: LockValue) -> str:
    """Encode a lock, in UTC.

    Raises:
        BadWire: a comma in the owner's name.
    """
    if value.owner is None:
        return encode_time(value.since)
    if any("," in name for name in value.owner):
        raise BadWire(what="node lock", problem=f"owner must not contain ','; got {shown(value.owner)}")
    return f"{encode_time(value.since)},{value.owner[0]},{value.owner[1]}"


def decode_time(text: str, *, what: str) -> datetime:
    """Decode an RFC 3339 time.

    Raises:
        BadWire: anything else.
    """
    if _RFC3339.fullmatch(text):
        try:
            return datetime.fromisoformat(text).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise BadWire(what=what, problem=f"must be a time such as 2026-08-21T06:20:39Z; got {shown(text)}")


def encode_time(when: datetime) -> str:
    """Encode a time as RFC 3339 in UTC with whole seconds."""
    return when.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"
