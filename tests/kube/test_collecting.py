from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Iterator

import pytest

from hami_core.kube.collecting import IDLE_S, WHOLE_EVERY_S, Collecting


class _Ring:
    """Garbage once nobody holds it, which only the collector can tell."""

    def __init__(self) -> None:
        self.self = self


@pytest.fixture(autouse=True)
def _thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_new_garbage_goes_at_the_next_step() -> None:
    collecting = Collecting(time.monotonic)
    collecting.begin()
    seen = weakref.ref(_Ring())
    collecting.step(time.monotonic())
    assert seen() is None


def test_what_was_set_aside_is_not_looked_through_while_somebody_asks() -> None:
    collecting = Collecting(lambda: time.monotonic() + WHOLE_EVERY_S)
    ring = _Ring()
    seen = weakref.ref(ring)
    collecting.begin()
    del ring
    collecting.step(time.monotonic() + WHOLE_EVERY_S + 1)
    assert seen() is not None


def test_what_was_set_aside_is_looked_through_after_an_hour_when_nobody_asks() -> None:
    asked_s = time.monotonic()
    collecting = Collecting(lambda: asked_s)
    ring = _Ring()
    seen = weakref.ref(ring)
    collecting.begin()
    del ring
    collecting.step(asked_s + IDLE_S + 1)
    assert seen() is not None
    collecting.step(time.monotonic() + WHOLE_EVERY_S + 1)
    assert seen() is None
