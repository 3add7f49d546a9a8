"""What the preload library adds to the start of a process, and to 200 processes that start at once in one share.

Builds nothing: give it a build folder made with ``cmake -S native -B build/native -G Ninja -DHAMI_TESTS=ON``. Every
program is run in each way in turn, so that a busy machine slows all of them alike. Times of whole processes are CPU
time of the process (user and system, loading included) and wall time. Exit status 1 when a process of the crowd was
refused what fits, failed or did not come to its end.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from settings import BARE, NO_LIMITS, Settings, share

CONTEXT_MIB, PIECE_MIB = 254, 2  # what each of the crowd takes: the machine file's context, and one granule
CROWD_TIMEOUT_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Times:
    """One process, from being started to its end."""

    wall_us: float
    cpu_us: float


def run(command: list[str], environment: dict[str, str]) -> Times:
    """Start a process without input or output and wait for its end."""
    null = os.open(os.devnull, os.O_RDWR)
    begin_ns = time.perf_counter_ns()
    pid = os.posix_spawn(
        command[0], command, environment, file_actions=[(os.POSIX_SPAWN_DUP2, null, number) for number in (0, 1)]
    )
    _pid, status, usage = os.wait4(pid, 0)
    wall_us = (time.perf_counter_ns() - begin_ns) / 1000
    os.close(null)
    if status != 0:
        raise SystemExit(f"{' '.join(command)} ended with wait status {status}")
    return Times(wall_us=wall_us, cpu_us=(usage.ru_utime + usage.ru_stime) * 1e6)


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """A crowd of processes, in seconds from the first one's start."""

    last_allocation_s: float
    failed: int
    hanging: int


def start_crowd(command: list[str], environment: dict[str, str], count: int) -> Crowd:
    """Start all at once; each holds its memory until all have theirs or the time is up."""
    hold, let_go = os.pipe()
    output, written = os.pipe()
    begin_ns = time.monotonic_ns()
    actions = [(os.POSIX_SPAWN_DUP2, hold, 0), (os.POSIX_SPAWN_DUP2, written, 1)]
    pids = [os.posix_spawn(command[0], command, environment, file_actions=actions) for _ in range(count)]
    os.close(hold)
    os.close(written)
    lines = _read_lines(output, count)
    os.close(let_go)
    statuses = [_end(pid) for pid in pids]
    last_ns = max((int(line.split()[2]) for line in lines), default=begin_ns)
    return Crowd(
        last_allocation_s=(last_ns - begin_ns) / 1e9,
        failed=sum(status not in (0, None) for status in statuses),
        hanging=sum(status is None for status in statuses),
    )


def _read_lines(output: int, count: int) -> list[bytes]:
    """The processes' lines: all of them, or what came before the time was up or the last one ended."""
    text = b""
    until_s = time.monotonic() + CROWD_TIMEOUT_S
    while text.count(b"\n") < count and (left_s := until_s - time.monotonic()) > 0:
        ready, _, _ = select.select([output], [], [], left_s)
        chunk = os.read(output, 65536) if ready else b""
        if not chunk:
            break
        text += chunk
    os.close(output)
    return text.splitlines()


def _end(pid: int) -> int | None:
    """The wait status of a process whose input has ended; None for one that had to be killed."""
    until_s = time.monotonic() + 10.0
    while time.monotonic() < until_s:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.001)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return None


def print_processes(results: dict[str, dict[str, list[Times]]]) -> None:
    """Print each program's median times on the bare double and what every other way adds."""
    print(
        f"{'a process, median us':24}{'way':14}{'CPU':>9}{'added':>9}{'ratio':>7}{'wall':>10}{'added':>9}{'ratio':>7}"
    )
    for program, ways in results.items():
        bare: Times | None = None
        for way, times in ways.items():
            median = Times(
                wall_us=statistics.median(each.wall_us for each in times),
                cpu_us=statistics.median(each.cpu_us for each in times),
            )
            bare = bare or median
            print(
                f"{program:24}{way:14}{median.cpu_us:9.0f}{median.cpu_us - bare.cpu_us:+9.0f}"
                f"{median.cpu_us / bare.cpu_us:7.2f}{median.wall_us:10.0f}{median.wall_us - bare.wall_us:+9.0f}"
                f"{median.wall_us / bare.wall_us:7.2f}"
            )


def measure_processes(arguments: argparse.Namespace, ways: list[Settings], machine: Path, folder: Path) -> None:
    """Run every program in every way, one at a time."""
    programs = {
        "/bin/true": ["/bin/true"],
        "sh, ten programs": ["/bin/sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10; do /bin/true; done"],
        "python -c pass": [os.path.realpath(sys.executable), "-I", "-S", "-c", "pass"],
        "cuInit and allocation": [str(arguments.build / "tests" / "nvidia" / "nvidia_start")],
    }
    environments = {way.name: way.environment(build=arguments.build, machine=machine, folder=folder) for way in ways}
    results: dict[str, dict[str, list[Times]]] = {}
    for program, command in programs.items():
        results[program] = {way.name: [] for way in ways}
        for number in range(arguments.rounds + 1):
            for way, environment in environments.items():
                times = run(command, environment)
                if number > 0:  # the first makes the region and fills the caches
                    results[program][way].append(times)
    print_processes(results)


def measure_crowd(arguments: argparse.Namespace, ways: list[Settings], machine: Path, folder: Path) -> bool:
    """Run the crowd in every way; true when each of its processes got what fits."""
    command = [str(arguments.build / "tests" / "nvidia" / "nvidia_start"), str(PIECE_MIB << 20)]
    print(f"\n{arguments.crowd} processes at once       s until the last has its first allocation")
    good = True
    bare_s: float | None = None
    for way in ways:
        environment = way.environment(build=arguments.build, machine=machine, folder=folder)
        crowds = [start_crowd(command, environment, arguments.crowd) for _ in range(arguments.cycles)]
        best_s = min(crowd.last_allocation_s for crowd in crowds)
        bare_s = bare_s or best_s
        failed, hanging = sum(crowd.failed for crowd in crowds), sum(crowd.hanging for crowd in crowds)
        print(f"{'':24}{way.name:14}{best_s:9.3f}  x{best_s / bare_s:.2f}  {failed} failed, {hanging} hanging")
        good = good and failed == 0 and hanging == 0
    return good


def main(argv: list[str]) -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=Path("build/native"), help="build folder")
    parser.add_argument("--machine", type=Path, default=Path("src/hami_nvidia/machines/a40x2.json"))
    parser.add_argument("--rounds", type=int, default=100, help="times each program is run in each way")
    parser.add_argument("--crowd", type=int, default=200, help="processes that start at once")
    parser.add_argument("--cycles", type=int, default=3, help="times the crowd is run in each way; the best counts")
    arguments = parser.parse_args(argv)
    arguments.build = arguments.build.resolve()
    described = json.loads(arguments.machine.read_text(encoding="utf-8"))
    # A card on which the crowd's contexts fit: what is measured is the library, not a full card.
    needed_mib = arguments.crowd * (CONTEXT_MIB + PIECE_MIB)
    for device in described["devices"]:
        device |= {"memory_mib": 2 * needed_mib + 4096, "context_mib": CONTEXT_MIB}
    with tempfile.TemporaryDirectory(prefix="hami-start-") as name:
        folder = Path(name)
        machine = folder / "machine.json"
        machine.write_text(json.dumps(described), encoding="utf-8")
        uuid = described["devices"][0]["uuid"]
        wide, exact = (
            share(way, region=folder / f"region-{way[-5:]}", uuid=uuid, limit=limit)
            for way, limit in (
                ("in a share", f"memory_mib={needed_mib + 2048} core_percent=50"),
                ("exactly full", f"memory_mib={needed_mib} core_percent=50"),
            )
        )
        measure_processes(arguments, [BARE, NO_LIMITS, wide], machine, folder)
        return 0 if measure_crowd(arguments, [BARE, NO_LIMITS, wide, exact], machine, folder) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
