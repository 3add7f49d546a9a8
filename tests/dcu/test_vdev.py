"""Virtual DCUs: nothing is given out twice, and what was given out is read back from the files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hami_dcu.vdev import MOST_PIPES, MOST_VDEVS, NothingLeft, Vdev, cut, vdevs_in

CARD_UNITS = 120


def one(taken: list[Vdev], units: int, *, device: int = 0) -> Vdev:
    return cut(taken, bus=f"0000:{device:02x}:00.0", device=device, units=units, unit_count=CARD_UNITS, memory_mib=1000)


@given(asked=st.lists(st.tuples(st.integers(0, 3), st.integers(1, CARD_UNITS)), max_size=30))
def test_no_unit_pipe_or_number_is_given_out_twice(asked: list[tuple[int, int]]) -> None:
    taken: list[Vdev] = []
    for device, units in asked:
        free = CARD_UNITS - sum(vdev.units.bit_count() for vdev in taken if vdev.device == device)
        if units > free:
            with pytest.raises(NothingLeft, match=rf"DCU {device}: {free} of 120 compute units are free, {units} are"):
                one(taken, units, device=device)
            continue
        made = one(taken, units, device=device)
        assert made.units.bit_count() == units
        for other in taken:
            assert made.number != other.number
            assert other.device != device or not (made.units & other.units or made.pipe == other.pipe)
        taken.append(made)


@given(
    vdev=st.builds(
        Vdev,
        bus=st.just("0000:9f:00.0"),
        units=st.integers(1, 2**128 - 1),
        memory_mib=st.integers(1, 2**31),
        device=st.integers(0, 15),
        number=st.integers(0, MOST_VDEVS - 1),
        pipe=st.integers(0, MOST_PIPES - 1),
    )
)
def test_a_file_is_read_back_as_it_was_written(vdev: Vdev) -> None:
    assert vdevs_in({vdev.file: vdev.render(), "vdev/other": "x", "elsewhere/vdev1.conf": vdev.render()}) == (vdev,)


@given(text=st.one_of(st.text(), st.sampled_from(["cu_mask: 0x1\n", "cu_mask: zz\ncu_mask: 0x0\nmem: 3 MiB\n"])))
def test_a_file_that_is_none_is_passed_over(text: str) -> None:
    assert vdevs_in({"vdev/vdev0.conf": text}) == ()


def test_a_card_has_so_many_pipes_and_a_node_so_many_numbers() -> None:
    full: list[Vdev] = []
    for _ in range(MOST_PIPES):
        full.append(one(full, 1))
    with pytest.raises(NothingLeft, match="DCU 0: pipes: all 20 are in use"):
        one(full, 1)
    many = [Vdev(bus="b", units=0, memory_mib=1, device=9, number=number, pipe=0) for number in range(MOST_VDEVS)]
    with pytest.raises(NothingLeft, match="this node: virtual cards: all 200 are in use"):
        one(many, 1)


def test_what_goes_is_given_out_again() -> None:
    first = one([], 60)
    second = one([first], 60)
    assert one([second], 60) == first
