"""Validators for the frozen values, with messages a person can read.

attrs' own `instance_of(int)` lets `True` through and puts the whole Attribute object into the exception.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs


def whole(low: int, high: int | None = None) -> Callable[[Any, attrs.Attribute[int], int], None]:
    """Accept an int (never a bool) from `low` to `high`.

    The message reads ``Share.slots must be 0 or more; got -1``.
    """

    def check(instance: object, attribute: attrs.Attribute[int], value: object) -> None:
        wanted = f"{low} or more" if high is None else f"{low} to {high}"
        in_range = (
            isinstance(value, int) and not isinstance(value, bool) and value >= low and (high is None or value <= high)
        )
        if not in_range:
            name = f"{type(instance).__name__}.{attribute.name}"
            raise ValueError(f"{name} must be {wanted}; got {value!r}")

    return check


def text(instance: object, attribute: attrs.Attribute[str], value: object) -> None:
    """Accept a non-empty str."""
    if not isinstance(value, str) or not value:
        name = f"{type(instance).__name__}.{attribute.name}"
        raise ValueError(f"{name} must be a non-empty string; got {value!r}")
