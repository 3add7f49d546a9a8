"""Node locks and handshakes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hami_core.errors import BadWire
from hami_core.wire.handshake import Handshake, decode_handshake, encode_request
from hami_core.wire.node_lock import LockValue, decode_lock, encode_lock

from .values import words

NOON = datetime(2026, 8, 21, 12, 0, 0, tzinfo=UTC)
seconds = st.datetimes(timezones=st.just(UTC)).map(lambda when: when.replace(microsecond=0))
locks = st.builds(LockValue, since=seconds, owner=st.none() | st.tuples(words, words))


@given(locks)
def test_what_is_written_is_read_back(lock: LockValue) -> None:
    assert lock == decode_lock(encode_lock(lock), what="node n")


def test_the_form_is_the_one_that_hami_reads() -> None:
    east = NOON.astimezone(timezone(timedelta(hours=8)))
    assert encode_lock(LockValue(since=east, owner=("default", "p"))) == "2026-08-21T12:00:00Z,default,p"


def test_the_older_form_names_no_owner() -> None:
    lock = decode_lock("2026-08-21T20:00:00.5+08:00", what="node n")
    assert lock == LockValue(since=NOON + timedelta(milliseconds=500))
    assert not lock.held_by("default", "p")


def test_a_lock_belongs_to_one_pod() -> None:
    lock = decode_lock("2026-08-21T12:00:00Z,default,p", what="node n")
    assert lock.held_by("default", "p")
    assert not lock.held_by("default", "p2")
    assert not lock.held_by("other", "p")


def test_a_lock_expires_after_its_timeout_not_at_it() -> None:
    lock = LockValue(since=NOON)
    assert not lock.expired(NOON + timedelta(seconds=300), timeout_s=300)
    assert lock.expired(NOON + timedelta(seconds=301), timeout_s=300)


@pytest.mark.parametrize(
    "text",
    ["", "lock", "2026-08-21", "2026-08-21T12:00:00", "2026-08-21T12:00:00Z,a", "2026-02-30T12:00:00Z", "t,a,b,c"],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(BadWire, match=r"^node n: must be"):
        decode_lock(text, what="node n")


def test_an_owner_with_a_comma_cannot_be_written() -> None:
    with pytest.raises(BadWire, match="must not contain ','"):
        encode_lock(LockValue(since=NOON, owner=("a,b", "p")))


def test_a_question_is_asked_with_its_time() -> None:
    asked = datetime(2025, 1, 7, 9, 5, 0)  # noqa: DTZ001 - the annotation has no zone
    assert encode_request(asked) == "Requesting_2025-01-07 09:05:00"
    assert decode_handshake("Requesting_2025-01-07 09:05:00") == Handshake(asking=True, since=asked)


@pytest.mark.parametrize("text", ["Requesting", "Requesting_yesterday", "Requesting_2025.01.07 09:05:00"])
def test_a_question_whose_time_cannot_be_read_is_still_a_question(text: str) -> None:
    assert decode_handshake(text) == Handshake(asking=True)


@pytest.mark.parametrize(
    "text", ["", "Reported_2026.08.21 06:20:39", "Reported 2024-01-23 04:30:04.43 +0000 UTC m=+110.7", "Deleted_x"]
)
def test_everything_else_is_an_answer(text: str) -> None:
    assert decode_handshake(text) == Handshake(asking=False)
