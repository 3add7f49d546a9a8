"""Runs many random schedules of one kind, in parts that run side by side, and stops at the first that fails.

The command is a program of this tree that takes SCHEDULES and FIRST_SEED as its last two arguments (core_torture,
nvidia_schedules under run.py, interpose schedules under theirs) and that prints "in schedule SEED" when one fails.
A schedule mostly waits, so that more parts than processors are worth their while.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import re
import resource
import subprocess
import sys
import threading
import time

FAILED = re.compile(r"^in schedule (\d+)", re.MULTILINE)


def parts(schedules: int, first: int, size: int) -> list[tuple[int, int]]:
    """Cut the seeds into (count, first seed) of at most `size` each."""
    return [(min(size, first + schedules - at), at) for at in range(first, first + schedules, size)]


def cpu_s() -> float:
    """Processor time of all finished children, in seconds."""
    use = resource.getrusage(resource.RUSAGE_CHILDREN)
    return use.ru_utime + use.ru_stime


class Run:
    """One kind of schedules under way."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._stop = threading.Event()

    def part(self, count: int, first: int) -> tuple[int, str]:
        """Run one part; how many schedules passed, and the output of a failure. Nothing runs after another failed."""
        if self._stop.is_set():
            return 0, ""
        command = [*self._command, str(count), str(first)]
        done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode == 0:
            return count, ""
        self._stop.set()
        return 0, f"{done.stdout}exit status {done.returncode} of: {' '.join(command)}\n"


def report_failure(name: str, output: str) -> None:
    """Say which seed failed and how to see it again."""
    seed = FAILED.search(output)
    sys.stderr.write(output)
    again = f"; again: SCHEDULES=1 SEED={seed[1]} make nightly" if seed else ""
    print(f"{name}: FAILED at seed {seed[1] if seed else 'unknown'}{again}", file=sys.stderr, flush=True)


def main(argv: list[str]) -> int:
    """Run the schedules; exit status 1 and the failing seed where one fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True, help="what the progress lines call these schedules")
    parser.add_argument("--schedules", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1, help="the first one's")
    parser.add_argument("--jobs", type=int, required=True, help="parts that run side by side")
    parser.add_argument("--part", type=int, default=250, help="schedules of one part")
    parser.add_argument("--every-s", type=float, default=60, help="between two lines of progress, in seconds")
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args(argv)
    last = arguments.seed + arguments.schedules - 1
    seeds = f"seeds {arguments.seed} to {last}"
    began_s = said_s = time.monotonic()
    run = Run(arguments.command)
    passed = 0
    failure = ""
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        pending = [pool.submit(run.part, *part) for part in parts(arguments.schedules, arguments.seed, arguments.part)]
        for done in concurrent.futures.as_completed(pending):
            count, output = done.result()
            passed += count
            failure = failure or output
            if time.monotonic() - said_s >= arguments.every_s:
                said_s = time.monotonic()
                spent_s = said_s - began_s
                print(f"{arguments.name}: {passed} of {arguments.schedules}, {spent_s:.0f} s, {seeds}", flush=True)
    if failure:
        report_failure(arguments.name, failure)
        return 1
    spent_s = time.monotonic() - began_s
    print(
        f"{arguments.name}: {passed} schedules passed, {seeds}, in {spent_s:.0f} s ({cpu_s():.0f} s of CPU)", flush=True
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
