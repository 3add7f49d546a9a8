from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hami_core.errors import BadWire
from hami_core.wire.extender import (
    BindResult,
    FilterResult,
    HostPriority,
    decode_bind_args,
    decode_filter_args,
    encode,
)


def test_fields_have_gos_names() -> None:
    result = FilterResult(node_names=["n1"], failed={"n2": "why"}, unresolvable={"n3": "never"}, error="e")
    assert json.loads(encode(result)) == {
        "NodeNames": ["n1"],
        "FailedNodes": {"n2": "why"},
        "FailedAndUnresolvableNodes": {"n3": "never"},
        "Error": "e",
    }
    assert encode([HostPriority(host="n1", score=10)]) == b'[{"Host":"n1","Score":10}]'
    assert encode(BindResult()) == b'{"Error":""}'


def test_no_node_is_an_empty_list_and_not_an_absent_one() -> None:
    """kube-scheduler takes absent NodeNames for "look at Nodes"."""
    assert encode(FilterResult(node_names=[])) == b'{"NodeNames":[]}'


def test_a_scheduler_sends_null_for_what_it_does_not_say() -> None:
    args = decode_filter_args(b'{"Pod":{"metadata":{}},"Nodes":null,"NodeNames":["n1"]}')
    assert args.node_names == ["n1"]
    assert args.nodes is None


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "filter request"),
        (b'{"NodeNames":[]}', "Pod"),
        (b'{"Pod":{}}', "neither"),
        (b'{"Pod":{},"NodeNames":[1]}', "NodeNames"),
        (b'{"Pod":{},"Nodes":{"items":{}}}', "items"),
    ],
)
def test_a_malformed_filter_request_says_what_is_wrong(body: bytes, problem: str) -> None:
    with pytest.raises(BadWire, match=problem):
        decode_filter_args(body)


@pytest.mark.parametrize("missing", ["PodName", "PodNamespace", "Node"])
def test_a_bind_request_needs_its_names(missing: str) -> None:
    body = {"PodName": "a", "PodNamespace": "b", "PodUID": "c", "Node": "n", missing: ""}
    with pytest.raises(BadWire, match=missing):
        decode_bind_args(json.dumps(body).encode())


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_read_or_refused(body: bytes) -> None:
    for decode in (decode_filter_args, decode_bind_args):
        with contextlib.suppress(BadWire):
            decode(body)
