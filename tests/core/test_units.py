"""Quantities: exact, bounded, and refused with a cure."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hami_core.errors import BadQuantity
from hami_core.units import INT32_MAX, memory_mib, parse_quantity, whole_number

WHERE = "pod default/p, container c: nvidia.com/gpumem"
SUFFIXES = {
    "n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000), "": 1, "k": 10**3, "M": 10**6,
    "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
    "Pi": 2**50, "Ei": 2**60,
}  # fmt: skip


@pytest.mark.parametrize(("suffix", "factor"), SUFFIXES.items())
def test_every_suffix_multiplies_exactly(suffix: str, factor: Fraction | int) -> None:
    assert parse_quantity(f"1.25{suffix}", where=WHERE) == Fraction(5, 4) * factor
    assert parse_quantity(f"-3{suffix}", where=WHERE) == -3 * factor


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12e6", 12_000_000),
        ("1E-2", Fraction(1, 100)),
        ("+5", 5),
        (".5", Fraction(1, 2)),
        ("5.", 5),
        (7, 7),
        (0.5, Fraction(1, 2)),
    ],
)
def test_other_spellings_of_a_number(text: object, value: Fraction) -> None:
    assert parse_quantity(text, where=WHERE) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ".",
        "-",
        "abc",
        "1 Gi",
        "1gi",
        "0x10",
        "1e",
        "1Kie3",
        "NaN",
        "inf",
        "٣",
        True,
        None,
        [],
        "9" * 41,
        "1e999",
        "1e65",
    ],
)
def test_what_is_not_a_quantity_is_refused_and_quoted(text: object) -> None:
    with pytest.raises(BadQuantity) as caught:
        parse_quantity(text, where=WHERE)
    assert WHERE in str(caught.value)
    assert "got " in str(caught.value)


@given(st.fractions(min_value=0, max_value=10**12, max_denominator=1000))
def test_decimal_text_comes_back_as_the_same_number(value: Fraction) -> None:
    thousandths = int(value * 1000)
    text = f"{thousandths // 1000}.{thousandths % 1000:03d}"
    assert parse_quantity(text, where=WHERE) == Fraction(thousandths, 1000)


@given(st.text(max_size=60) | st.binary(max_size=20) | st.integers() | st.floats() | st.none())
def test_any_input_is_a_number_or_a_clear_refusal(raw: object) -> None:
    try:
        value = parse_quantity(raw, where=WHERE)
    except BadQuantity as err:
        assert str(err).startswith(WHERE)  # noqa: PT017 - the other branch is a success
    else:
        assert isinstance(value, Fraction)


def test_bytes_where_mib_are_wanted_are_refused_with_the_number_to_write() -> None:
    with pytest.raises(BadQuantity) as caught:
        memory_mib("16Gi", where=WHERE)
    assert str(caught.value) == f'{WHERE} must be a whole number of MiB, 0 or more; got "16Gi" (write 16384)'


def test_a_unit_of_256_mib_is_named_and_converted() -> None:
    assert memory_mib("10", where=WHERE, unit_mib=256) == 2560
    with pytest.raises(BadQuantity, match=r"256 MiB units.*\(write 64\)"):
        memory_mib("16Gi", where=WHERE, unit_mib=256)


@pytest.mark.parametrize("text", ["1.5", "-1", "3000000000", "99999999999999999999"])
def test_memory_that_no_card_has_is_refused(text: str) -> None:
    with pytest.raises(BadQuantity):
        memory_mib(text, where=WHERE)


def test_a_fraction_is_rounded_up_in_the_advice_not_in_the_value() -> None:
    with pytest.raises(BadQuantity, match=r"\(write 2\)"):
        memory_mib("1.5", where=WHERE)


def test_the_range_is_part_of_the_message() -> None:
    assert whole_number("100", where="cores", low=0, high=100) == 100
    with pytest.raises(BadQuantity, match=r'^cores must be a whole number, 0 to 100; got "101"$'):
        whole_number("101", where="cores", low=0, high=100)


@given(st.integers(0, INT32_MAX))
def test_whole_numbers_pass_unchanged(value: int) -> None:
    assert whole_number(str(value), where="n") == value
