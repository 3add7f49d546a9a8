"""`hami node-agent` that kills itself once, at the step that HAMI_TESTS_DIE names; otherwise the program as it is.

Steps are names of functions on the way from kubelet's question to its answer, and whether it happens ``before`` or
``after`` them: ``before:LateBinder.allocate``.
"""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import sys
from typing import Any

from hami_core.cli import main
from hami_core.node import allocating, binder, cdi, furnishing, late

PLACES: dict[str, tuple[Any, str]] = {
    "LateBinder.allocate": (late.LateBinder, "allocate"),
    "AllocatingBinder.allocate": (allocating.AllocatingBinder, "allocate"),
    "Host.holders": (binder.Host, "holders"),
    "Furnisher.furnish": (furnishing.Furnisher, "furnish"),
    "cdi.write": (cdi, "write"),
    "mark_allocated": (late, "mark_allocated"),
}


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def deadly(function: Any, when: str) -> Any:
    """The function, with the death before or after it."""

    @functools.wraps(function)
    async def later(*args: Any, **kwargs: Any) -> Any:
        if when == "before":
            _die()
        await function(*args, **kwargs)
        _die()

    @functools.wraps(function)
    def now(*args: Any, **kwargs: Any) -> Any:
        if when == "before":
            _die()
        function(*args, **kwargs)
        _die()

    return later if asyncio.iscoroutinefunction(function) else now


when, _, place = os.environ["HAMI_TESTS_DIE"].partition(":")
owner, name = PLACES[place]
setattr(owner, name, deadly(getattr(owner, name), when))
sys.argv = ["hami", *sys.argv[1:]]
main()
