"""Run `hami bench fit` several times, each in a process of its own, and hold what it measures against what is promised.

    python benchmarks/fit/run.py [--runs 3] [--out results/<name>.json] [--notes "what else ran"]

The result has the machine, and for each promise its limit beside the mean and standard deviation over the runs, in CPU
time of the measuring thread and in wall time. CPU time decides; wall times are those of the machine as busy as it was.
Exit code 1 when a promise is broken.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

HAMI = str(Path(sys.executable).with_name("hami"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--notes", default="")
    options = parser.parse_args()
    runs = [bench() for _ in range(options.runs)]
    promises = [promise(same) for same in zip(*(run["targets"] for run in runs), strict=True)]
    report(promises)
    if options.out:
        machine = {**runs[0]["machine"], "load_1m": [run["machine"]["load_1m"] for run in runs], "notes": options.notes}
        document = {"machine": machine, "runs": options.runs, "plugin": runs[0]["plugin"], "promises": promises}
        yardstick = [run["yardstick"]["cpu_p50_us"] for run in runs]
        document["yardstick_cpu_us"] = spread(yardstick)
        options.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return int(not all(each["holds"] for each in promises))


def bench() -> dict[str, Any]:
    done = subprocess.run([HAMI, "bench", "fit", "-o", "json"], check=False, capture_output=True, encoding="utf-8")
    if done.returncode:
        sys.exit(f"hami bench fit failed:\n{done.stderr}")
    return json.loads(done.stdout)


def promise(runs: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    """One promise over all runs; it holds when the mean does."""
    first = runs[0]
    cpu = spread([run["cpu"] for run in runs])
    wall = None if first["wall"] is None else spread([run["wall"] for run in runs])
    least, most = first["least"], first["most"]
    holds = (least is None or cpu["mean"] >= least) and (most is None or cpu["mean"] <= most)
    return {
        "name": first["name"],
        "unit": first["unit"],
        "least": least,
        "most": most,
        "cpu": cpu,
        "wall": wall,
        "holds": holds,
    }


def spread(figures: list[float]) -> dict[str, float]:
    stdev = statistics.stdev(figures) if len(figures) > 1 else 0.0
    return {"mean": round(statistics.fmean(figures), 4), "stdev": round(stdev, 4)}


def report(promises: list[dict[str, Any]]) -> None:
    print(f"{'promise':62} {'unit':7} {'limit':>12} {'CPU mean':>10} {'stdev':>8} {'wall mean':>10}")
    for each in promises:
        limit = " ".join(f"{sign}{each[side]:g}" for side, sign in (("least", ">="), ("most", "<=")) if each[side])
        wall = f"{each['wall']['mean']:10.4g}" if each["wall"] else f"{'-':>10}"
        mark = "" if each["holds"] else "  BROKEN"
        cpu = each["cpu"]
        print(f"{each['name']:62} {each['unit']:7} {limit:>12} {cpu['mean']:10.4g} {cpu['stdev']:8.2g} {wall}{mark}")


if __name__ == "__main__":
    sys.exit(main())
