"""Shares in pod annotations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hami_core.errors import BadWire
from hami_core.model import DeviceShare
from hami_core.wire.pod_devices import decode_pod_devices, encode_pod_devices

from .values import FAMILY, shares

containers = st.lists(st.lists(shares, max_size=3).map(tuple), max_size=4).map(tuple)


@given(containers)
def test_what_is_written_is_read_back(held: tuple[tuple[DeviceShare, ...], ...]) -> None:
    assert held == decode_pod_devices(encode_pod_devices(held, family=FAMILY), what="pod p")


def test_the_form_is_the_one_that_hamis_device_plugins_read() -> None:
    held = ((), (DeviceShare(uuid="GPU-a", memory_mib=1000, core_units=30), DeviceShare(uuid="GPU-b", memory_mib=1000)))
    assert encode_pod_devices(held, family=FAMILY) == ";GPU-a,NVIDIA,1000,30:GPU-b,NVIDIA,1000,0:;"


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("", ()),
        (";", ((),)),
        (";;", ((), ())),
        ("a,,1,2:", ((DeviceShare(uuid="a", memory_mib=1, core_units=2),),)),
        ("a,T,1,2,extra,fields:nonsense:;", ((DeviceShare(uuid="a", memory_mib=1, core_units=2),),)),
    ],
)
def test_what_hamis_readers_tolerate_is_tolerated(text: str, held: tuple[tuple[DeviceShare, ...], ...]) -> None:
    assert held == decode_pod_devices(text, what="pod p")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,T,1:;", "pod p, container 0, card 0: has 3 fields"),
        (";a,T,1,2:b,T,x,2:;", 'container 1, card 1, field memory: .*got "x"'),
        ("a,T,1,-2:;", "field cores"),
        ("a,T,2147483648,0:;", "field memory"),
        (",T,1,2:;", "field uuid: must not be empty"),
    ],
)
def test_a_malformed_share_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(BadWire, match=message):
        decode_pod_devices(text, what="pod p")


@pytest.mark.parametrize("uuid", ["a,b", "a:b", "a;b"])
def test_a_uuid_with_the_grammars_marks_cannot_be_written(uuid: str) -> None:
    with pytest.raises(BadWire, match="must not contain"):
        encode_pod_devices([[DeviceShare(uuid=uuid)]], family=FAMILY)
