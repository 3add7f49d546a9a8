"""Trying a rule on many worlds: Hypothesis, set up so that a report is the same every time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hypothesis import HealthCheck, Verbosity, given, settings
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")

TRIES = 30
"""Examples for each rule. Enough to find what is wrong with a table; plugins with more can test more themselves."""


def try_all(cases: SearchStrategy[T], rule: Callable[[T], None], *, tries: int = TRIES) -> None:
    """Call `rule` with examples of `cases`; what it raises for the smallest failing one comes out."""

    @settings(
        max_examples=tries,
        deadline=None,
        derandomize=True,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )
    @given(cases)
    def attempt(case: T) -> None:
        rule(case)

    attempt()
