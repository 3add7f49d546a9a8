"""Whatever the cluster holds, a decoder answers or refuses with `BadWire`; nothing else ever leaves it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hami_ascend
import hami_dcu
import hami_iluvatar
import hami_mlu
import hami_mthreads
import hami_nvidia
from hami_core.errors import BadConfig, BadWire
from hami_core.objects import read_node, read_pod
from hami_core.quota import read_quota
from hami_core.registry import load_registry
from hami_core.requests import SCORING_WEIGHTS, scoring_weights
from hami_core.score import builtin
from hami_core.wire.admission_review import decode_review
from hami_core.wire.cordon import CORDON, cordoned
from hami_core.wire.device_config import ConfigSections
from hami_core.wire.extender import decode_bind_args, decode_filter_args
from hami_core.wire.handshake import decode_handshake
from hami_core.wire.node_lock import decode_lock
from hami_core.wire.pair_scores import decode_pair_scores
from hami_core.wire.partitions import decode_partitions
from hami_core.wire.pod_devices import decode_pod_devices
from hami_core.wire.register import decode_csv, decode_json

DECODERS: dict[str, Callable[[str], object]] = {
    "register, CSV": lambda text: decode_csv(text, family="F", what="node n"),
    "register, JSON": lambda text: decode_json(text, family="F", what="node n"),
    "pod devices": lambda text: decode_pod_devices(text, what="pod p"),
    "partitions": lambda text: decode_partitions(text, what="pod p"),
    "pair scores": lambda text: decode_pair_scores(text, what="node n"),
    "node lock": lambda text: decode_lock(text, what="node n"),
    "scoring weights": lambda text: scoring_weights({SCORING_WEIGHTS: text}, where="pod p"),
    "handshake": decode_handshake,
    "cordon": lambda text: cordoned({CORDON: text}),
}
decoder = pytest.mark.parametrize("decode", DECODERS.values(), ids=DECODERS)

marks = st.text(st.sampled_from("GPU-0123456789,,::;;=truefalse+-[]{}\"'TZ_ \x00\u0661\ud800"), max_size=60)
keys = st.sampled_from(
    ["id", "ID", "count", "devmem", "type", "health", "migProfiles", "placements", "name", "memoryMB", "uuid", "score",
     "containerIndex", "deviceIndex", "gpuUUID", "profile", "placement", "start", "size", "migUUID", "custominfo"]
)  # fmt: skip
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=8),
    max_leaves=12,
)


parts = st.sampled_from(
    ["metadata", "spec", "status", "name", "namespace", "labels", "annotations", "containers", "initContainers", "hard",
     "resources", "limits", "requests", "env", "capacity", "nodeName", "phase", "restartPolicy", "securityContext"]
)  # fmt: skip
BYTE_DECODERS = (decode_review, decode_filter_args, decode_bind_args)
VENDORS = (builtin, hami_nvidia, hami_mlu, hami_dcu, hami_iluvatar, hami_mthreads, hami_ascend)


def read_namespace_quota(item: Mapping[str, Any]) -> object:
    return read_quota(item, load_registry(plugins=VENDORS[:2]))


def answers_or_refuses(decode: Callable[[str], object], text: str) -> None:
    with contextlib.suppress(BadWire):
        decode(text)


@decoder
@given(text=st.text())
def test_any_text(decode: Callable[[str], object], text: str) -> None:
    answers_or_refuses(decode, text)


@decoder
@given(text=marks)
def test_text_made_of_the_grammars_own_marks(decode: Callable[[str], object], text: str) -> None:
    answers_or_refuses(decode, text)


@decoder
@given(raw=st.binary())
def test_any_bytes_read_as_text(decode: Callable[[str], object], raw: bytes) -> None:
    answers_or_refuses(decode, raw.decode("utf-8", "surrogateescape"))


@decoder
@given(value=json_values)
def test_any_json(decode: Callable[[str], object], value: object) -> None:
    answers_or_refuses(decode, msgspec.json.encode(value).decode())


@decoder
@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "9" * 100_000, ":" * 100_000, ";" * 100_000])
def test_hostile_depth_and_length(decode: Callable[[str], object], text: str) -> None:
    answers_or_refuses(decode, text)


@pytest.mark.parametrize("decode", BYTE_DECODERS, ids=lambda decode: decode.__name__)
@given(raw=st.binary() | json_values.map(msgspec.json.encode))
def test_any_bytes_as_a_request(decode: Callable[[bytes], object], raw: bytes) -> None:
    with contextlib.suppress(BadWire):
        decode(raw)


@pytest.mark.parametrize("read", [read_node, read_pod, read_namespace_quota], ids=lambda read: read.__name__)
@given(item=st.dictionaries(parts, json_values | st.dictionaries(parts, json_values, max_size=5), max_size=5))
def test_any_json_as_an_object(read: Callable[[Mapping[str, Any]], object], item: Mapping[str, Any]) -> None:
    with contextlib.suppress(BadWire):
        read(item)


@given(raw=st.binary(), section=st.sampled_from(["nvidia", "cambricon", "hygon", "iluvatars", "mthreads", "vnpus"]))
def test_any_bytes_as_a_configuration_file(raw: bytes, section: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "device-config.yaml"
        path.write_bytes(f"{section}: ".encode() + raw)
        with contextlib.suppress(BadConfig):
            load_registry(ConfigSections.load(path), VENDORS)


@given(text=st.text() | st.text(st.sampled_from("nvidia: []{}&*!-\n\t'\"#|>0"), max_size=60))
def test_any_text_as_a_configuration_file(text: str) -> None:
    with contextlib.suppress(BadConfig):
        ConfigSections.parse(text)
