"""`hami`, with a watchdog on its event loop: ``python -m benchmarks.cluster.watched FILE scheduler ...``.

Each second a line goes to FILE: the second (monotonic), and how long in it the loop kept a due timer waiting at most,
in milliseconds of wall time and of CPU time of the loop's thread. On a busy machine CPU time says what our own work
costs.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from hami_core.cli import main
from hami_core.kube import process

TICK_S = 0.002


async def watch(file: Path) -> None:
    with file.open("a") as sink:
        second, wall_s, cpu_s = int(time.monotonic()), 0.0, 0.0
        while True:
            began_s, began_cpu_s = time.monotonic(), time.thread_time()
            await asyncio.sleep(TICK_S)
            now_s = time.monotonic()
            wall_s = max(wall_s, now_s - began_s - TICK_S)
            cpu_s = max(cpu_s, time.thread_time() - began_cpu_s)
            if int(now_s) != second:
                line = {"second": second, "wall_ms": round(1000 * wall_s, 2), "cpu_ms": round(1000 * cpu_s, 2)}
                print(json.dumps(line), file=sink, flush=True)
                second, wall_s, cpu_s = int(now_s), 0.0, 0.0


def watched(serve: Callable[..., Awaitable[None]], file: Path) -> Callable[..., Awaitable[None]]:
    async def run(*args: Any, **kwargs: Any) -> None:
        watchdog = asyncio.create_task(watch(file))
        try:
            await serve(*args, **kwargs)
        finally:
            watchdog.cancel()

    return run


if __name__ == "__main__":
    process.serve = watched(process.serve, Path(sys.argv.pop(1)))  # type: ignore[assignment]  # the same, and a task
    sys.argv[0] = "hami"
    main()
