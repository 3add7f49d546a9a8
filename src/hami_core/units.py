"""Quantities: the only place where text becomes a number.

Kubernetes quantity grammar: sign? digits with an optional fraction, then a binary suffix (Ki..Ei), a decimal suffix
(n u m k M G T P E) or a decimal exponent (e3, E-3). Source: k8s.io/apimachinery/pkg/api/resource, quantity.go.
Everything here is exact: values are `Fraction` until a caller asks for whole units, so no memory is ever a float.
"""

from __future__ import annotations

import re
from fractions import Fraction

from hami_core.errors import BadQuantity

INT32_MAX = 2**31 - 1
MIB = 1024 * 1024

_BINARY = {f"{letter}i": 1024**power for power, letter in enumerate("KMGTPE", start=1)}
_DECIMAL = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}
_SMALL = {"n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000)}
_SUFFIX: dict[str, Fraction] = {
    **{name: Fraction(factor) for name, factor in {**_BINARY, **_DECIMAL}.items()},
    **_SMALL,
}
# The bounds on digits keep a hostile annotation from asking for a number with a million of them.
_QUANTITY = re.compile(
    r"(?P<sign>[+-]?)(?P<whole>[0-9]{0,40})(?:\.(?P<fraction>[0-9]{0,40}))?"
    r"(?:(?P<suffix>[KMGTPE]i|[numkMGTPE])|[eE](?P<exponent>[+-]?[0-9]{1,3}))?",
    re.ASCII,
)
_MAX_EXPONENT = 64
# A million pieces of memory and more: whoever writes such a suffix thinks of bytes.
_BYTES = re.compile(r"[0-9.][MGTPE]i?$", re.ASCII)
_DURATION_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_quantity(text: object, *, where: str) -> Fraction:
    """Parse a Kubernetes quantity exactly.

    Args:
        text: what the object held: a string, or an int or float as YAML gives them.
        where: the place, for the message, such as ``pod a/b, container c: nvidia.com/gpumem``.

    Raises:
        BadQuantity: `text` does not follow the grammar.
    """
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise BadQuantity(where=where, wanted="a Kubernetes quantity such as 3000 or 16Gi", found=text)
    raw = text.strip() if isinstance(text, str) else repr(text)
    match = _QUANTITY.fullmatch(raw)
    if match is None or not (match["whole"] or match["fraction"]):
        raise BadQuantity(where=where, wanted="a Kubernetes quantity such as 3000 or 16Gi", found=text)
    digits = (match["whole"] or "") + (match["fraction"] or "")
    value = Fraction(int(digits), 10 ** len(match["fraction"] or ""))
    if match["exponent"] is not None:
        exponent = int(match["exponent"])
        if abs(exponent) > _MAX_EXPONENT:
            raise BadQuantity(where=where, wanted=f"a quantity with an exponent up to {_MAX_EXPONENT}", found=text)
        value *= Fraction(10) ** exponent
    else:
        value *= _SUFFIX[match["suffix"] or ""]
    return -value if match["sign"] == "-" else value


def whole_number(
    text: object, *, where: str, low: int = 0, high: int = INT32_MAX, unit: str = "", write: str | None = None
) -> int:
    """Parse a quantity that must be a whole number from `low` to `high`.

    Raises:
        BadQuantity: not a quantity, not whole, or out of range; says the range and the unit wanted.
    """
    of = f" of {unit}" if unit else ""
    wanted = f"a whole number{of}, {low} to {high}" if high != INT32_MAX else f"a whole number{of}, {low} or more"
    value = parse_quantity(text, where=where)
    if value.denominator != 1 or not low <= value <= high:
        raise BadQuantity(where=where, wanted=wanted, found=text, write=write)
    return int(value)


def memory_mib(text: object, *, where: str, unit_mib: int = 1, low: int = 0) -> int:
    """Parse a count of `unit_mib`-sized pieces of memory and return MiB.

    The resource counts pieces, so ``16Gi`` means 17 billion of them, which no card has. People who write it mean
    bytes; the message says the number they should write. ``2k`` is 2000 pieces.

    Raises:
        BadQuantity: not whole, negative, or more MiB than an int32 holds.
    """
    value = parse_quantity(text, where=where)
    unit = "MiB" if unit_mib == 1 else f"{unit_mib} MiB units"
    in_suffix = isinstance(text, str) and _BYTES.search(text.strip()) is not None
    if not in_suffix and value.denominator == 1 and low <= value and value * unit_mib <= INT32_MAX:
        return int(value) * unit_mib
    write = None
    if in_suffix:
        in_bytes = value / (unit_mib * MIB)
        write = str(-(-in_bytes.numerator // in_bytes.denominator)) if in_bytes >= 1 else None
    elif low <= value <= INT32_MAX and value.denominator != 1:
        write = str(-(-value.numerator // value.denominator))
    raise BadQuantity(where=where, wanted=f"a whole number of {unit}, {low} or more", found=text, write=write)


def duration_s(text: str, *, where: str) -> float:
    """Parse a duration as Go writes it (``5m``, ``28s``, ``1m30s``) into seconds; a bare number counts seconds.

    Raises:
        BadQuantity: anything else.
    """
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text, re.ASCII):
        return float(text)
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)", text, re.ASCII)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise BadQuantity(where=where, wanted="a duration", found=text, write="5m, 28s or 1m30s")
    return sum(float(number) * _DURATION_S[unit] for number, unit in parts)
