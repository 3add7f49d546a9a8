"""Scores of pairs of cards, and cordoned cards."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hami_core.errors import BadWire
from hami_core.wire.cordon import CORDON, cordoned
from hami_core.wire.pair_scores import PairScores, decode_pair_scores, encode_pair_scores

from .values import words


@given(st.dictionaries(words, st.dictionaries(words, st.integers(-1000, 1000), max_size=4), max_size=4))
def test_what_is_written_is_read_back(scores: PairScores) -> None:
    assert scores == decode_pair_scores(encode_pair_scores(scores), what="node n")


def test_the_form_is_the_one_that_hami_reads() -> None:
    scores = {"GPU-a": {"GPU-b": 100}, "GPU-b": {"GPU-a": 100}}
    assert encode_pair_scores(scores) == (
        '[{"uuid":"GPU-a","score":{"GPU-b":100}},{"uuid":"GPU-b","score":{"GPU-a":100}}]'
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"score":{}}]', "node n, entry 0, field uuid"),
        ('[{"uuid":"a","score":[]}]', "field score: must be a JSON object"),
        ('[{"uuid":"a","score":{"b":1.5}}]', 'entry 0: the score of "b" must be a whole number; got 1.5'),
        ('[{"uuid":"a","score":{"b":true}}]', "must be a whole number"),
        ('[{"uuid":"a"},{"uuid":"a"}]', 'entry 1: uuid "a" is there twice'),
    ],
)
def test_a_malformed_entry_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(BadWire, match=message):
        decode_pair_scores(text, what="node n")


def test_a_cordon_is_a_comma_list_that_tolerates_blanks() -> None:
    assert cordoned({CORDON: " GPU-a, ,GPU-b,"}) == {"GPU-a", "GPU-b"}
    assert cordoned({}) == frozenset()
