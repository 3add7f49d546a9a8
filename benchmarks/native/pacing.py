"""How close a container's share of device time comes to its core limit, on the test double's device clock.

One run for each combination of limit, kernel length, number of processes and manner of launching; every process
launches as fast as it may. Prints the share in percent and its distance from the limit; what the same load gets without
a limit is shown beside, since a load that the host cannot keep up cannot fill its share either.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
from pathlib import Path

KERNELS_NS = (5_000, 100_000, 5_000_000, 500_000_000)
PERCENTS = (10, 30, 50, 80)
PROCESSES = (1, 4, 16, 64)
# Kernels in a run, at least: the share of a few long ones is a matter of chance.
LEAST_KERNELS = 40


def seconds_for(*, kernel_ns: int, percent: int) -> float:
    """Length of a run: 3 s, or as long as the limit needs for enough kernels, at most 60 s."""
    return min(60.0, max(3.0, LEAST_KERNELS * kernel_ns / 1e9 * 100 / percent))


def share(
    arguments: argparse.Namespace, *, kernel_ns: int, processes: int, mode: str, percent: int, seconds: float
) -> float:
    """Percent of the device's time that the load got."""
    command = [
        *(sys.executable, "native/tests/nvidia/run.py"),
        *("--library", str(arguments.build / "lib" / "libhami_nvidia.so")),
        *("--fakes", str(arguments.build / "lib" / "fake"), "--machine", "src/hami_nvidia/machines/a40x2.json"),
        *("--core-percent", str(percent), "--policy", "force", "--env", f"WARM_UP_S={arguments.warm_up_s}", "--"),
        str(arguments.build / "tests" / "nvidia" / "nvidia_pacing_load"),
        *(str(kernel_ns), str(processes), mode, str(seconds)),
    ]
    # run.py shares its ways with the other vendors' tests.
    environ = {**os.environ, "PYTHONPATH": "native/tests/interpose"}
    return float(subprocess.run(command, env=environ, check=True, capture_output=True, text=True).stdout)


def main(argv: list[str]) -> int:
    """Run the combinations asked for; print one line each and the mean distance."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=Path("build/native"))
    parser.add_argument("--warm-up-s", type=float, default=2.0)
    parser.add_argument("--kernels-ns", type=int, nargs="*", default=KERNELS_NS)
    parser.add_argument("--percents", type=int, nargs="*", default=PERCENTS)
    parser.add_argument("--processes", type=int, nargs="*", default=PROCESSES)
    parser.add_argument("--modes", nargs="*", default=("async", "sync"))
    arguments = parser.parse_args(argv)
    distances: list[float] = []
    print(f"{'kernel us':>10} {'processes':>9} {'mode':>6} {'limit':>6} {'share':>7} {'distance':>9} {'unlimited':>10}")
    for kernel_ns, processes, mode in itertools.product(arguments.kernels_ns, arguments.processes, arguments.modes):
        load = {"kernel_ns": kernel_ns, "processes": processes, "mode": mode}
        unlimited = share(arguments, **load, percent=0, seconds=2.0)
        for percent in arguments.percents:
            seconds = seconds_for(kernel_ns=kernel_ns, percent=percent)
            got = share(arguments, **load, percent=percent, seconds=seconds)
            # Less than the limit is right for a load that gets no more without one.
            distance = got - min(percent, unlimited)
            distances.append(abs(distance))
            print(
                f"{kernel_ns / 1000:10.0f} {processes:9} {mode:>6} {percent:6} {got:7.2f} {distance:+9.2f}"
                f" {unlimited:10.2f}",
                flush=True,
            )
    print(f"mean distance {sum(distances) / len(distances):.2f} points, largest {max(distances):.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
