"""How close a container's share of device time comes to its core limit, on the test double's device clock.

Three tables, each with what was promised: ``limit``, one container with policy ``force``, for each combination of
limit, kernel length, number of processes and manner of launching; ``split``, two containers of 30 and 70 percent that
both want all of the card; ``alone``, a container of 30 percent with policy ``default`` and nobody else on the card,
against the same load without the library. Every process launches as fast as it may. Exit status 1 when a promise is
not kept.

Windows are long enough that one kernel more or less makes half a point, and what is running at either end counts for
the part that lies inside. They begin when a container that has just started has made good what it used before it knew
its kernels; what it got with that start is printed beside. Loads with kernels of 5 ms and longer run on a clock that
is faster than the machine's: the double's device and the library (the build with stopping points) see the same clock,
and so every wait, age and interval is as long as it would be. What the host takes for its own work counts for more
there, never for less.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

KERNELS_NS = (5_000, 100_000, 5_000_000, 50_000_000, 500_000_000)
PERCENTS = (10, 30, 50, 80)
PROCESSES = (1, 4, 16, 64)
MODES = ("async", "sync")
QUICK = {"kernels_ns": (5_000, 5_000_000, 500_000_000), "percents": (30, 80), "processes": (1, 16)}
SPLIT = (30, 70)

MEAN_ERROR_POINTS = 3.0
SPLIT_ERROR_PERCENT = 5.0
ALONE_PERCENT = 98.0

# One kernel more or less in the window changes the share by this much at most.
ONE_KERNEL_POINTS = 0.5
# Real seconds per second of the clock for kernels of at least so many nanoseconds.
TIME_SCALES = ((500_000_000, 0.04), (50_000_000, 0.25), (5_000_000, 0.5))
# Two containers measure each other's waits as their own until a kernel of each has met an idle card.
SPLIT_WARM_UP_KERNELS = 100
# A host may be too slow to fill the card with kernels shorter than this; then its own best is what a share is held to.
ALWAYS_FILLS_NS = 5_000_000


@dataclass(frozen=True, kw_only=True)
class Load:
    """What runs in each container."""

    kernel_ns: int
    processes: int
    mode: str

    @property
    def time_scale(self) -> float:
        """Real seconds per second of the clock."""
        return next((scale for least_ns, scale in TIME_SCALES if self.kernel_ns >= least_ns), 1.0)

    @property
    def warm_up_s(self) -> float:
        """Seconds of the clock before the window."""
        return max(1.5, 20 * self.kernel_ns / 1e9)

    @property
    def window_s(self) -> float:
        """Seconds of the clock that count."""
        return max(2.0, self.kernel_ns / 1e9 * 100 / ONE_KERNEL_POINTS)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table: ``got`` of ``wanted``, in percent, and how far apart they are."""

    table: str
    load: Load
    limit_percent: int
    got: float
    wanted: float
    error: float
    note: str


class Bench:
    """Runs loads on the test double."""

    def __init__(self, build: Path) -> None:
        self._build = build

    def run(self, load: Load, *options: str, warm_up_s: float = 0.0, **variables: str) -> dict[str, float]:
        """Percent of the device's time that the load got: ``share``, ``second`` and ``from_start``."""
        testing = "testing/" if load.time_scale != 1.0 else ""
        variables |= {"WARM_UP_S": str(max(load.warm_up_s, warm_up_s)), "HAMI_FAKE_TIME_SCALE": str(load.time_scale)}
        command = [
            *(sys.executable, "native/tests/nvidia/run.py"),
            *("--library", str(self._build / "lib" / f"{testing}libhami_nvidia.so")),
            *("--fakes", str(self._build / "lib" / "fake"), "--machine", "src/hami_nvidia/machines/a40x2.json"),
            *(word for name, value in variables.items() for word in ("--env", f"{name}={value}")),
            *options,
            *("--", str(self._build / "tests" / "nvidia" / "nvidia_pacing_load")),
            *(str(load.kernel_ns), str(load.processes), load.mode, str(load.window_s)),
        ]
        # run.py shares its ways with the other vendors' tests.
        environ = {**os.environ, "PYTHONPATH": "native/tests/interpose"}
        done = subprocess.run(command, env=environ, check=True, stdout=subprocess.PIPE, text=True)
        shares: dict[str, float] = json.loads(done.stdout)
        return shares


def limit_rows(bench: Bench, loads: Sequence[Load], percents: Sequence[int]) -> Iterator[Row]:
    """One container against its limit; the error is in points."""
    for load in loads:
        unlimited = 100.0 if load.kernel_ns >= ALWAYS_FILLS_NS else bench.run(load, "--no-preload")["share"]
        for percent in percents:
            shares = bench.run(load, "--core-percent", str(percent), "--policy", "force")
            wanted = min(float(percent), unlimited)
            note = f"{shares['from_start']:.1f} from the start"
            note += f", {unlimited:.1f} without a limit" if unlimited < percent else ""
            error = shares["share"] - wanted
            yield Row(
                table="limit",
                load=load,
                limit_percent=percent,
                got=shares["share"],
                wanted=wanted,
                error=error,
                note=note,
            )


def split_rows(bench: Bench, loads: Sequence[Load]) -> Iterator[Row]:
    """Two containers; the error is in percent of the ratio."""
    first, second = SPLIT
    for load in loads:
        options = ("--core-percent", str(first), "--policy", "force")
        warm_up_s = SPLIT_WARM_UP_KERNELS * load.kernel_ns / 1e9
        shares = bench.run(load, *options, warm_up_s=warm_up_s, SECOND_PERCENT=str(second))
        error = (shares["share"] / shares["second"] / (first / second) - 1) * 100 if shares["second"] else -100.0
        yield Row(
            table="split",
            load=load,
            limit_percent=first,
            got=shares["share"],
            wanted=float(first),
            error=error,
            note=f"the other {shares['second']:.1f}",
        )


def alone_rows(bench: Bench, loads: Sequence[Load]) -> Iterator[Row]:
    """Nobody else on the card; the error is in percent of the speed without the library. The best of two, in turn."""
    for load in loads:
        native = held = 0.0
        for _turn in range(2):
            native = max(native, bench.run(load, "--no-preload", warm_up_s=2.5)["share"])
            options = ("--core-percent", str(SPLIT[0]), "--policy", "default")
            held = max(held, bench.run(load, *options, warm_up_s=2.5)["share"])
        yield Row(
            table="alone",
            load=load,
            limit_percent=SPLIT[0],
            got=held,
            wanted=native,
            error=(held / native - 1) * 100,
            note=f"{held / native * 100:.1f} % of native",
        )


def findings(rows: Sequence[Row]) -> Iterator[str]:
    """What each table comes to, one line each; those that miss a promise begin with MISSED."""
    errors = {table: [row.error for row in rows if row.table == table] for table in ("limit", "split", "alone")}
    for kernel_ns in sorted({row.load.kernel_ns for row in rows if row.table == "limit"}):
        of_length = [abs(row.error) for row in rows if row.table == "limit" and row.load.kernel_ns == kernel_ns]
        mean = sum(of_length) / len(of_length)
        missed = "MISSED: " if mean > MEAN_ERROR_POINTS else ""
        kernels = f"kernels of {kernel_ns / 1000:g} us"
        yield f"{missed}limit, {kernels}: mean error {mean:.2f} points, worst {max(of_length):.2f}"
    if errors["limit"]:
        off = [abs(error) for error in errors["limit"]]
        yield f"limit: mean error {sum(off) / len(off):.2f} points, worst {max(off):.2f}, {len(off)} combinations"
    if errors["split"]:
        off = [abs(error) for error in errors["split"]]
        missed = "MISSED: " if max(off) > SPLIT_ERROR_PERCENT else ""
        yield f"{missed}split: mean error {sum(off) / len(off):.1f} percent of the ratio, worst {max(off):.1f}"
    if errors["alone"]:
        least = 100 + min(errors["alone"])
        missed = "MISSED: " if least < ALONE_PERCENT else ""
        yield f"{missed}alone: at least {least:.1f} percent of native speed"


def main(argv: list[str]) -> int:
    """Run the tables asked for; print each line when it is known, then what they come to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=Path("build/native"))
    parser.add_argument("--quick", action="store_true", help="some combinations only, in about two minutes")
    parser.add_argument("--tables", nargs="*", default=("limit", "split", "alone"), choices=("limit", "split", "alone"))
    parser.add_argument("--kernels-ns", type=int, nargs="*")
    parser.add_argument("--percents", type=int, nargs="*")
    parser.add_argument("--processes", type=int, nargs="*")
    parser.add_argument("--modes", nargs="*", default=MODES)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all lines there as JSON")
    arguments = parser.parse_args(argv)
    full = {"kernels_ns": KERNELS_NS, "percents": PERCENTS, "processes": PROCESSES}
    chosen = {name: getattr(arguments, name) or (QUICK if arguments.quick else full)[name] for name in full}
    kernels = chosen["kernels_ns"]
    processes = chosen["processes"]
    modes = arguments.modes
    bench = Bench(arguments.build)

    def loads(kernels_ns: Sequence[int], counts: Sequence[int]) -> list[Load]:
        combinations = itertools.product(kernels_ns, counts, modes)
        return [Load(kernel_ns=kernel_ns, processes=count, mode=mode) for kernel_ns, count, mode in combinations]

    few = [count for count in processes if count <= PROCESSES[1]] or processes[:1]
    # Shares of 30 and 70 percent leave a program that waits for each short kernel no time to launch the next.
    halves = [load for load in loads(kernels, few) if load.kernel_ns >= ALWAYS_FILLS_NS or load.mode == "async"]
    ends = [kernel_ns for kernel_ns in kernels if kernel_ns in (KERNELS_NS[0], ALWAYS_FILLS_NS)] or kernels[:1]
    tables = {
        "limit": limit_rows(bench, loads(kernels, processes), chosen["percents"]),
        "split": split_rows(bench, halves),
        "alone": alone_rows(bench, loads(ends, few[:1])),
    }
    rows: list[Row] = []
    begin_s = time.monotonic()
    print(f"{'table':>6} {'kernel us':>10} {'processes':>9} {'mode':>6} {'limit':>6} {'share':>7} {'error':>7}")
    for row in itertools.chain.from_iterable(tables[name] for name in arguments.tables):
        rows.append(row)
        load = row.load
        print(
            f"{row.table:>6} {load.kernel_ns / 1000:10.0f} {load.processes:9} {load.mode:>6} {row.limit_percent:6}"
            f" {row.got:7.2f} {row.error:+7.2f}  {row.note}",
            flush=True,
        )
    found = list(findings(rows))
    print("\n".join([*found, f"{time.monotonic() - begin_s:.0f} s"]))
    if arguments.json is not None:
        lines = {"rows": [asdict(row) for row in rows], "findings": found}
        arguments.json.write_text(json.dumps(lines, indent=2) + "\n", encoding="utf-8")
    return 1 if any(line.startswith("MISSED") for line in found) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
