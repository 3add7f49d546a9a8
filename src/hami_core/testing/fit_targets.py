"""What the fit engine promises on two cores, beside what a run of the bench measured.

A limit holds or not by CPU time of the measuring thread: other work on the machine does not count. Wall time stands
beside it. Of the workloads A, B and C and the policies the slowest counts.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from hami_core.testing import fit_bench
from hami_core.testing.fit_bench import DecisionTime, Elsewhere, FitBench

NODES, DEVICES, PODS = 5000, 8, 100_000
"""The fleet that the limits are about; the figures of another one are shown without a limit."""

_US_PER_MS = 1000


@attrs.frozen(kw_only=True)
class Target:
    """A promise and what was measured. `least` and `most` are None where there is no limit on that side."""

    name: str
    unit: str
    cpu: float
    wall: float | None = None  # None where the figure is no time
    least: float | None = None
    most: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the figure is within its limits."""
        return (self.least is None or self.cpu >= self.least) and (self.most is None or self.cpu <= self.most)

    @property
    def limit(self) -> str:
        """The limits in words; empty where there is none."""
        sides = (("at least", self.least), ("at most", self.most))
        return ", ".join(f"{word} {side:g}" for word, side in sides if side is not None)


def targets(report: FitBench) -> tuple[Target, ...]:
    """Every target of which the report has a figure, in the order in which they are promised."""
    found = tuple(_of_fleet(report))
    if (report.nodes, report.devices, report.pods) != (NODES, DEVICES, PODS):
        found = tuple(attrs.evolve(target, least=None, most=None) for target in found)
    return found


def _of_fleet(report: FitBench) -> Iterator[Target]:
    fleet = f"{report.nodes:,} nodes x {report.devices} cards, {report.pods:,} pods"
    for point, most in (("p50", 1.0), ("p99", 2.0)):
        yield _decision_ms(f"decision, new shape, {point}: {fleet}", report, "fresh", point, most)
    yield _decision_ms("decision, shape seen before, p50", report, "seen", "p50", 0.1)
    if report.elsewhere:
        yield from _of_pods(report, report.elsewhere.empty)
        yield _large(report.elsewhere)
    for name, sample in (("add a pod, p50", report.add), ("remove a pod, p50", report.remove)):
        yield Target(name=name, unit="us", cpu=sample.cpu_p50_us, wall=sample.p50_us, most=20.0)
    yield Target(
        name=f"fill {fit_bench.FILL_NODES:,} nodes with {report.fill_pods:,} pods",
        unit="pods/s",
        cpu=report.fill_pods / report.fill.cpu_s,
        wall=report.fill_pods / report.fill.wall_s,
        least=500.0,
    )
    if report.elsewhere:
        rebuild = report.elsewhere.rebuild
        name = f"rebuild from JSON: {report.nodes:,} nodes, {fit_bench.REBUILD_PODS:,} pods"
        yield Target(name=name, unit="s", cpu=rebuild.cpu_s, wall=rebuild.wall_s, most=5.0)
    yield Target(
        name="peak RSS of that fleet and its bench", unit="MiB", cpu=report.peak_rss_mib, most=500 * 1e6 / 2**20
    )


def _decision_ms(name: str, report: FitBench, state: str, point: str, most: float) -> Target:
    cpu, wall = report.slowest(state, f"cpu_{point}_us"), report.slowest(state, f"{point}_us")
    return Target(name=name, unit="ms", cpu=cpu / _US_PER_MS, wall=wall / _US_PER_MS, most=most)


def _of_pods(report: FitBench, empty: DecisionTime) -> Iterator[Target]:
    same = next(
        decision
        for decision in report.decisions
        if (decision.workload, decision.policy) == (empty.workload, empty.policy)
    )
    # The minimum is what a busy machine disturbs least, and a ratio of two figures shows every disturbance.
    yield Target(
        name=f"the same decision with {report.pods:,} pods over with none",
        unit="x",
        cpu=same.fresh.cpu_min_us / empty.fresh.cpu_min_us,
        wall=same.fresh.min_us / empty.fresh.min_us,
        least=0.8,
        most=1.2,
    )


def _large(elsewhere: Elsewhere) -> Target:
    slowest = max(elsewhere.large, key=lambda decision: decision.fresh.cpu_p50_us).fresh
    return Target(
        name=f"decision, new shape, p50: {fit_bench.LARGE_NODES:,} nodes",
        unit="ms",
        cpu=slowest.cpu_p50_us / _US_PER_MS,
        wall=slowest.p50_us / _US_PER_MS,
        most=10.0,
    )
