"""Wishes and answers of `hami resize` on pods: what is not one is refused, whatever it holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hami_core.errors import BadWire
from hami_core.wire.resize import (
    ResizeApplied,
    ResizeRequest,
    ResizeStatus,
    decode_applied,
    decode_request,
    decode_status,
    encode,
)

words = st.from_regex(r"[a-z0-9]{1,16}", fullmatch=True)


def test_the_bytes_of_a_wish_and_its_answers() -> None:
    assert encode(ResizeRequest(id="a1", memory_mib=6000, container="main")) == (
        '{"id":"a1","memoryMiB":6000,"cores":null,"container":"main","family":null}'
    )
    assert encode(ResizeStatus(id="a1", outcome="done", message="m")) == '{"id":"a1","outcome":"done","message":"m"}'
    assert encode(ResizeApplied(id="a1")) == '{"id":"a1","message":""}'


@given(words, st.integers(1, 1 << 20), st.none() | st.integers(1, 100))
def test_a_wish_is_read_as_it_was_written(name: str, memory_mib: int, cores: int | None) -> None:
    request = ResizeRequest(id=name, memory_mib=memory_mib, cores=cores)
    assert decode_request(encode(request), what="pod a/b") == request


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"id":"a"}',
        '{"id":"","memoryMiB":1}',
        '{"id":"a b","memoryMiB":1}',
        '{"id":"a","memoryMiB":0}',
        '{"id":"a","memoryMiB":4294967296}',
        '{"id":"a","memoryMiB":"1"}',
        '{"id":"a","memoryMiB":1,"memory":2}',
        '{"id":"a","memoryMiB":1,"container":"' + "x" * 5000 + '"}',
    ],
)
def test_what_is_no_wish_is_refused(text: str) -> None:
    with pytest.raises(BadWire, match="pod a/b"):
        decode_request(text, what="pod a/b")


@pytest.mark.parametrize("text", ["", "null", "7", '{"id":1}', '{"id":""}', '{"outcome":"done"}', "[" * 5000])
def test_an_answer_that_is_none_is_none(text: str) -> None:
    assert decode_status(text) is None
    assert decode_applied(text) is None
