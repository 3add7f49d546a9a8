"""The handshake annotation: the scheduler asks ``Requesting_<time>``, a living device plugin answers ``Reported...``.

HAMi's readers look only at values that contain ``Requesting``; the plugins' answers differ and are not parsed.
The time is the scheduler's own wall clock without a zone, so only the writer can compare it.
"""

from __future__ import annotations

from datetime import datetime

import attrs

_LAYOUT = "%Y-%m-%d %H:%M:%S"
_ASKING = "Requesting"


@attrs.frozen(kw_only=True)
class Handshake:
    """`asking` while the plugin has not answered; `since` when the question was put, if that can be read."""

    asking: bool
    since: datetime | None = None


def decode_handshake(text: str) -> Handshake:
    """Decode a handshake. Nothing is malformed: what is not a question is an answer."""
    if _ASKING not in text:
        return Handshake(asking=False)
    _, _, when = text.partition("_")
    try:
        # The value has no zone by definition; see the module's docstring.
        since = datetime.strptime(when, _LAYOUT)  # noqa: DTZ007
    except ValueError:
        return Handshake(asking=True)
    return Handshake(asking=True, since=since)


def encode_request(now: datetime) -> str:
    """Encode the question; `now` in the wall clock of the process that will read it back."""
    return f"{_ASKING}_{now.strftime(_LAYOUT)}"


def encode_answer(now: datetime) -> str:
    """Encode a living plugin's answer."""
    return f"Reported_{now.strftime(_LAYOUT)}"
