"""The specifications themselves: every docstring answers the same questions."""

from __future__ import annotations

import inspect

import pytest

from hami_core import hookspecs

SPECS = {name: value for name, value in vars(hookspecs).items() if hasattr(value, "hami_spec")}
QUESTIONS = ("Caller:", "May touch:", "Empty:", "Raises:", "Since:")


@pytest.mark.parametrize("name", SPECS)
def test_each_hook_says_who_calls_it_what_it_may_touch_and_what_empty_and_errors_mean(name: str) -> None:
    text = inspect.getdoc(SPECS[name]) or ""
    positions = [text.find(question) for question in QUESTIONS]
    assert -1 not in positions, f"{name} does not answer {QUESTIONS[positions.index(-1)]}"
    assert positions == sorted(positions)


@pytest.mark.parametrize("name", SPECS)
def test_each_hook_is_fully_typed(name: str) -> None:
    signature = inspect.signature(SPECS[name])
    assert signature.return_annotation is not inspect.Signature.empty
    assert all(p.annotation is not inspect.Parameter.empty for p in signature.parameters.values())


def test_hooks_stand_in_the_order_a_pod_meets_them() -> None:
    assert list(SPECS) == [
        "hami_families", "hami_machines", "hami_probe", "hami_watch", "hami_node_codec", "hami_admit", "hami_request",
        "hami_fit", "hami_policies", "hami_place", "hami_partition", "hami_allocate", "hami_decided",
    ]  # fmt: skip
