"""Every figure promised of a large cluster, measured one after the other: ``python -m benchmarks.cluster.scale``.

Says on stderr what each part found, then prints a table of figures against their targets and everything as JSON; exit
code 1 where a target is missed. Takes some 15 minutes on two cores where nothing else runs. ``--nodes 1000 --pods
10000`` only shows whether all of it works.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

import attrs
from benchmarks.cluster import filter as filtering
from benchmarks.cluster import run as throughput


@attrs.frozen(kw_only=True)
class Figure:
    """What was measured, and what is promised of it: at most, or at least."""

    name: str
    found: float
    most: float | None = None
    least: float | None = None

    @property
    def holds(self) -> bool:
        """Whether it is as promised."""
        return (self.most is None or self.found <= self.most) and (self.least is None or self.found >= self.least)

    def __str__(self) -> str:
        target = f"<= {self.most:g}" if self.most is not None else f">= {self.least:g}"
        return f"{self.name:58} {self.found:>10.2f} {target:>10}" + ("" if self.holds else "  MISSED")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--pods", type=int, default=100_000, help="In the cache while filters are measured.")
    asked = parser.parse_args()
    small = min(1000, asked.nodes)
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "filter": lambda: filtering.run(asked.nodes, asked.pods, 75.0),
        "restart": lambda: filtering.run(asked.nodes, asked.pods // 2, 0.0),
        "throughput": lambda: throughput.run(small, 3 * small),
        "throughput_large": lambda: throughput.run(asked.nodes, 3 * small),
    }
    report: dict[str, dict[str, Any]] = {}
    for number, (name, measure) in enumerate(parts.items(), start=1):
        print(f"{number} of {len(parts)}: {name} ...", file=sys.stderr, flush=True)
        report[name] = measure()
        print(json.dumps(report[name]), file=sys.stderr, flush=True)
    figures = promised(report)
    for figure in figures:
        print(figure)
    print(json.dumps(report, indent=2))
    return int(not all(figure.holds for figure in figures))


def promised(report: dict[str, dict[str, Any]]) -> list[Figure]:
    """The figures that have a target."""
    asked, restart, bound = report["filter"], report["restart"], report["throughput"]
    writes = bound["api_writes_per_pod_bound"]
    pods = sum(share for name, share in writes.items() if "events" not in name)
    return [
        Figure(name=f"pods/s at {bound['nodes']} nodes", found=bound["bound_per_s"], least=200),
        Figure(name="CPU ms per pod bound, all components", found=bound["cpu_ms_per_pod_bound"]["total"], most=10),
        Figure(name="API writes per pod, events aside", found=pods, most=2.1),
        Figure(
            name=f"filter p99 ms, {asked['nodes']} nodes, {asked['pods']} pods",
            found=asked["filter_ms"]["p99"],
            most=10,
        ),
        Figure(name="longest stall of the loop, CPU ms", found=asked["stall_cpu_ms"]["max"], most=5),
        Figure(name="peak RSS MiB", found=asked["peak_rss_mib"], most=600),
        Figure(name=f"s to ready, {restart['pods']} pods", found=restart["ready_s"], most=10),
    ]


if __name__ == "__main__":
    sys.exit(main())
