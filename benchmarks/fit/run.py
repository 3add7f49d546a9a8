"""Run `hami bench fit` on several fleets, each in a process of its own, and hold the figures against `limits.toml`.

    python benchmarks/fit/run.py [--runs 3] [--out results/<name>.json]

The result has the machine, every figure's mean and standard deviation over the runs, and whether its limit holds.
Exit code 1 when one does not. Close everything else first: wall times are those of a quiet machine.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
HAMI = str(Path(sys.executable).with_name("hami"))
FLEETS = {
    "half": ("--nodes", "5000", "--pods", "100000"),
    "empty": ("--nodes", "5000", "--pods", "0"),
    "large": ("--nodes", "50000", "--pods", "0", "--samples", "100", "--policy", "binpack"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    runs = [{name: bench(arguments) for name, arguments in FLEETS.items()} for _ in range(options.runs)]
    figures = summed([figures_of(run) for run in runs])
    limits = tomllib.loads((HERE / "limits.toml").read_text(encoding="utf-8"))
    broken = [name for name, limit in limits.items() if not holds(figures[name]["mean"], limit)]
    report(figures, limits)
    if options.out:
        document = {"machine": runs[0]["half"]["machine"], "runs": options.runs, "figures": figures, "broken": broken}
        options.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return int(bool(broken))


def bench(arguments: tuple[str, ...]) -> dict[str, Any]:
    done = subprocess.run(
        [HAMI, "bench", "fit", *arguments, "-o", "json"], check=False, capture_output=True, encoding="utf-8"
    )
    if done.returncode:
        sys.exit(f"hami bench fit {' '.join(arguments)} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def figures_of(run: dict[str, Any]) -> dict[str, float]:
    """The figures that limits are about, by name; of the three workloads and two policies the slowest counts."""
    figures: dict[str, float] = {}
    for fleet, document in run.items():
        for state in ("fresh", "seen", "named"):
            for field in ("p50_us", "p99_us", "cpu_p50_us", "cpu_p99_us"):
                slowest = max(decision[state][field] for decision in document["decisions"])
                figures[f"{fleet}.decide_{state}_{field}"] = slowest
    half, empty = run["half"], run["empty"]
    for name in ("add", "remove", "snapshot", "yardstick"):
        figures[f"half.{name}_cpu_p50_us"] = half[name]["cpu_p50_us"]
    figures["half.fill_pods_per_s"] = half["fill_pods_per_s"]
    figures["half.peak_rss_mib"] = half["peak_rss_mib"]
    figures["large.peak_rss_mib"] = run["large"]["peak_rss_mib"]
    fresh = [next(d for d in document["decisions"] if d["workload"] == "A")["fresh"] for document in (half, empty)]
    # The minimum is what a busy machine disturbs least, and a ratio of two runs shows every disturbance.
    figures["half_over_empty_fresh"] = fresh[0]["min_us"] / fresh[1]["min_us"]
    return figures


def summed(runs: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    return {
        name: {
            "mean": round(statistics.fmean(run[name] for run in runs), 3),
            "stdev": round(statistics.stdev(run[name] for run in runs), 3) if len(runs) > 1 else 0.0,
        }
        for name in runs[0]
    }


def holds(value: float, limit: dict[str, float]) -> bool:
    return value <= limit.get("most", value) and value >= limit.get("least", value)


def report(figures: dict[str, dict[str, float]], limits: dict[str, dict[str, float]]) -> None:
    print(f"{'figure':34} {'mean':>10} {'stdev':>9} {'limit':>12}")
    for name, figure in figures.items():
        limit = limits.get(name, {})
        words = ", ".join(f"{side} {limit[side]:g}" for side in ("most", "least") if side in limit)
        mark = "" if holds(figure["mean"], limit) else "  BROKEN"
        print(f"{name:34} {figure['mean']:10.1f} {figure['stdev']:9.1f} {words:>12}{mark}")


if __name__ == "__main__":
    sys.exit(main())
