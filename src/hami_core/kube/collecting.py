"""When Python looks for garbage in cycles.

The cluster in memory is large and stays; walking through it takes longer than a filter may. So it is set aside
(`gc.freeze`) once it is there, and what came since then several times a second: little at a time. What was set aside
and became garbage in a cycle, such as an old connection, is found when nobody has asked for a while.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable

EVERY_S = 0.2
IDLE_S = 10.0
WHOLE_EVERY_S = 3600.0


class Collecting:
    """Sets aside what is new, and looks through everything when there is time.

    Args:
        asked_s: when somebody last asked for a decision, by the monotonic clock.
    """

    def __init__(self, asked_s: Callable[[], float]) -> None:
        self._asked_s = asked_s
        self._begun = False
        self._whole_s = time.monotonic()

    def begin(self) -> None:
        """The cluster is in memory: from here on, set aside what comes."""
        gc.freeze()
        self._begun = True
        self._whole_s = time.monotonic()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            if self._begun:
                self.step(time.monotonic())

    def step(self, now_s: float) -> None:
        """Look through what is new; through everything when that was long ago and nobody is asking."""
        if now_s - self._whole_s >= WHOLE_EVERY_S and now_s - self._asked_s() >= IDLE_S:
            gc.unfreeze()
            self._whole_s = now_s
        gc.collect()
        gc.freeze()
