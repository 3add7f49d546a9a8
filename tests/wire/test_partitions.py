"""Reserved and made partitions of a pod."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hami_core.errors import BadWire
from hami_core.model import Partition, PartitionPlacement
from hami_core.wire.partitions import MadePartition, PartitionEntry, decode_partitions, encode_partitions

from .values import partitions, whole, words

made = st.builds(MadePartition, uuid=words, gpu_instance=whole, compute_instance=whole)
entries = st.lists(
    st.builds(
        PartitionEntry,
        container_index=st.integers(0, 9),
        device_index=st.integers(0, 9),
        device_uuid=words,
        partition=partitions,
        made=st.none() | made,
    ),
    max_size=4,
    unique_by=lambda entry: (entry.container_index, entry.device_index),
)
RESERVED = PartitionEntry(
    container_index=0,
    device_index=1,
    device_uuid="GPU-a",
    partition=Partition(profile="2g.10gb", placement=PartitionPlacement(start=0, size=2)),
)


@given(entries)
def test_what_is_written_is_read_back(written: list[PartitionEntry]) -> None:
    assert tuple(written) == decode_partitions(encode_partitions(written), what="pod p")


def test_a_reservation_carries_no_runtime_fields() -> None:
    assert encode_partitions([RESERVED]) == (
        '[{"containerIndex":0,"deviceIndex":1,"gpuUUID":"GPU-a","profile":"2g.10gb","placement":{"start":0,"size":2}}]'
    )


def test_instance_0_is_an_instance() -> None:
    text = encode_partitions([RESERVED])[:-2] + ',"migUUID":"MIG-a","gpuInstanceID":0,"computeInstanceID":0}]'
    (entry,) = decode_partitions(text, what="pod p")
    assert entry.made == MadePartition(uuid="MIG-a", gpu_instance=0, compute_instance=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('"containerIndex":0', '"containerIndex":-1'), "pod p, entry 0, field containerIndex"),
        (('"GPU-a"', '""'), "field gpuUUID: must be a string, not empty"),
        (('"2g.10gb"', '""'), "field profile"),
        (('"size":2', '"size":0'), "entry 0, placement, field size: must be 1 or more"),
        (('"size":2}', '"size":2},"migUUID":"MIG-a"'), "has migUUID but not all of"),
        (('"size":2}', '"size":2},"gpuInstanceID":0'), "has gpuInstanceID but not all of"),
    ],
)
def test_an_incomplete_entry_is_refused(change: tuple[str, str], message: str) -> None:
    with pytest.raises(BadWire, match=message):
        decode_partitions(encode_partitions([RESERVED]).replace(*change), what="pod p")


def test_one_share_has_one_partition() -> None:
    with pytest.raises(BadWire, match="entry 1: container 0, card 1 is there twice"):
        decode_partitions(encode_partitions([RESERVED, RESERVED]), what="pod p")
