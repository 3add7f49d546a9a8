"""What the preload library costs per driver call, measured against the bare test double in one run.

Builds nothing: give it a build folder made with ``cmake -S native -B build/native -G Ninja -DHAMI_TESTS=ON``. Prints a
table, and the raw numbers as JSON with ``--json``. Exit status 1 when a budget is exceeded.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from settings import BARE, NO_LIMITS, Settings, share

# Nanoseconds that a call may take longer than on the bare double.
BUDGETS_NS = {
    "launch_ns": 50,
    "meminfo_ns": 200,
    "alloc_ns_20000_live": 300,
    "alloc_ns_1000000_live": 300,
}
# How much longer a free may take with a million live pointers than with a thousand.
FREE_GROWTH = 2.0


def _settings(region: Path, uuid: str) -> tuple[Settings, ...]:
    return (
        BARE,
        NO_LIMITS,
        share("memory limit", region=region, uuid=uuid, limit="memory_mib=40000"),
        share("memory and core limit", region=region, uuid=uuid, limit="memory_mib=40000 core_percent=50"),
    )


def measure(*, build: Path, machine: Path, settings: Settings, folder: Path) -> dict[str, float]:
    """Run the program once under ``settings``."""
    variables = settings.environment(build=build, machine=machine, folder=folder)
    program = build / "tests" / "nvidia" / "nvidia_calls"
    done = subprocess.run([str(program)], env=variables, check=True, capture_output=True, text=True)
    numbers: dict[str, float] = json.loads(done.stdout)
    return numbers


def findings(results: dict[str, dict[str, float]]) -> list[str]:
    """Budgets that the numbers exceed, one line each."""
    bare, limited = results["bare"], results["memory limit"]
    found = [
        f"{name}: {limited[name] - bare[name]:.0f} ns over the bare double, budget {budget}"
        for name, budget in BUDGETS_NS.items()
        if limited[name] - bare[name] > budget
    ]
    held = results["memory and core limit"]["launch_ns"] - bare["launch_ns"]
    if held > BUDGETS_NS["launch_ns"]:
        found.append(
            f"launch_ns under a core limit: {held:.0f} ns over the bare double, budget {BUDGETS_NS['launch_ns']}"
        )
    growth = limited["free_ns_1000000_live"] / limited["free_ns_1000_live"]
    bare_growth = bare["free_ns_1000000_live"] / bare["free_ns_1000_live"]
    if growth > FREE_GROWTH * max(1.0, bare_growth):
        found.append(f"free with a million live pointers takes {growth:.1f} times as long as with a thousand")
    return found


def print_table(results: dict[str, dict[str, float]]) -> None:
    """Print each call's time on the bare double and what every setting adds."""
    names = list(results)
    print(f"{'ns per call':28}" + "".join(f"{name:>{24 if name == 'bare' else 28}}" for name in names))
    for call, bare in results["bare"].items():
        row = f"{call:28}{bare:24.1f}"
        for name in names[1:]:
            value = results[name][call]
            row += f"{f'{value:.1f} ({value - bare:+.1f}, x{value / bare:.2f})':>28}"
        print(row)


def main(argv: list[str]) -> int:
    """Measure all settings in turn; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=Path("build/native"), help="build folder")
    parser.add_argument("--machine", type=Path, default=Path("src/hami_nvidia/machines/a40x2.json"))
    parser.add_argument("--json", action="store_true", help="print the raw numbers")
    parser.add_argument("--cycles", type=int, default=3, help="times each setting is run, in turn; the best counts")
    arguments = parser.parse_args(argv)
    uuid = json.loads(arguments.machine.read_text(encoding="utf-8"))["devices"][0]["uuid"]
    with tempfile.TemporaryDirectory(prefix="hami-bench-") as name:
        folder = Path(name)
        results: dict[str, dict[str, float]] = {}
        for _cycle in range(arguments.cycles):
            for settings in _settings(folder / "region", uuid):
                numbers = measure(
                    build=arguments.build.resolve(),
                    machine=arguments.machine.resolve(),
                    settings=settings,
                    folder=folder,
                )
                # Other work on the machine only ever makes a call slower.
                best = results.setdefault(settings.name, numbers)
                best.update({call: min(best[call], numbers[call]) for call in numbers})
    if arguments.json:
        print(json.dumps(results, indent=2))
    else:
        print_table(results)
    found = findings(results)
    sys.stderr.writelines(f"{line}\n" for line in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
