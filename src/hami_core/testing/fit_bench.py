"""Measuring the fit engine: how long decisions take and what the fleet costs, on this machine, at this moment."""

from __future__ import annotations

import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import msgspec
import numpy as np

from hami_core.fit import Fleet
from hami_core.inventory import feed, read_cluster
from hami_core.registry import Registry
from hami_core.testing import fit_workload as workload

FILL_NODES = 1000
LARGE_NODES = 50_000
REBUILD_PODS = 50_000
_LARGE_SAMPLES = 100
_KIB_PER_MIB = 1024


@attrs.frozen(kw_only=True)
class Sample:
    """How long one thing took, over `n` times, in microseconds: wall time, and CPU time of the measuring thread."""

    n: int
    min_us: float
    p50_us: float
    p99_us: float
    mean_us: float
    stdev_us: float
    cpu_min_us: float
    cpu_p50_us: float
    cpu_p99_us: float


@attrs.frozen(kw_only=True)
class Spent:
    """Seconds that something took once: wall time, and CPU time of the measuring thread."""

    wall_s: float
    cpu_s: float


@attrs.frozen(kw_only=True)
class DecisionTime:
    """One workload under one policy: a shape never seen before, seen before, and seen with all nodes named."""

    workload: str
    policy: str
    fits: bool
    fresh: Sample
    seen: Sample
    named: Sample


@attrs.frozen(kw_only=True)
class Elsewhere:
    """What is promised of fleets of their own: no pods (else as the main one), 50,000 nodes, a rebuild from JSON."""

    empty: DecisionTime
    large: tuple[DecisionTime, ...]
    rebuild: Spent


@attrs.frozen(kw_only=True)
class FitBench:
    """Everything `hami bench fit` reports."""

    machine: dict[str, Any]
    nodes: int
    devices: int
    pods: int
    plugin: str
    build_nodes: Spent
    build_pods: Spent
    decisions: tuple[DecisionTime, ...]
    add: Sample
    remove: Sample
    snapshot: Sample
    yardstick: Sample
    fill_pods: int
    fill: Spent
    peak_rss_mib: float
    elsewhere: Elsewhere | None = None

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON data."""
        return attrs.asdict(self)

    def slowest(self, state: str, field: str) -> float:
        """Of the workloads and policies, the largest `field` of the samples of one state (fresh, seen, named)."""
        figures: list[float] = [getattr(getattr(decision, state), field) for decision in self.decisions]
        return max(figures)


def bench_fit(
    *,
    nodes: int,
    devices: int,
    pods: int,
    policies: Sequence[str],
    samples: int,
    fill_pods: int,
    elsewhere: bool = False,
) -> FitBench:
    """Build a fleet of the synthetic workload and measure it; with `elsewhere`, other fleets after it."""
    registry = workload.workload_registry()
    report = _bench_fleet(
        registry, nodes=nodes, devices=devices, pods=pods, policies=policies, samples=samples, fill_pods=fill_pods
    )
    if not elsewhere:
        return report
    return attrs.evolve(report, elsewhere=_elsewhere(registry, nodes, devices, policies, samples))


def _bench_fleet(
    registry: Registry, *, nodes: int, devices: int, pods: int, policies: Sequence[str], samples: int, fill_pods: int
) -> FitBench:
    fleet = Fleet(registry)
    build_nodes = _timed(lambda: workload.add_nodes(fleet, nodes, devices))
    held = list(workload.placements(nodes, devices, pods))
    build_pods = _timed(lambda: _add_all(fleet, held))
    decisions = tuple(_decision(fleet, name, policy, samples) for policy in policies for name in workload.REQUESTS)
    key, placement = next(workload.placements(1, devices, 1))
    keys = [f"{key}-{number}" for number in range(samples)]
    add = _sampled(samples, lambda number: fleet.add_pod(keys[number], placement))
    remove = _sampled(samples, lambda number: fleet.remove_pod(keys[number]))
    return FitBench(
        machine=_machine(),
        nodes=nodes,
        devices=devices,
        pods=pods,
        plugin=str(registry.families[workload.FAMILY].source),
        build_nodes=build_nodes,
        build_pods=build_pods,
        decisions=decisions,
        add=add,
        remove=remove,
        snapshot=_sampled(3, lambda _number: fleet.snapshot()),
        yardstick=_yardstick(nodes, devices, samples),
        fill_pods=fill_pods,
        fill=_fill(registry, devices, fill_pods),
        peak_rss_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KIB_PER_MIB,
    )


def _elsewhere(registry: Registry, nodes: int, devices: int, policies: Sequence[str], samples: int) -> Elsewhere:
    empty = Fleet(registry)
    workload.add_nodes(empty, nodes, devices)
    unpopulated = _decision(empty, "A", policies[0], samples)
    large = Fleet(registry)
    workload.add_nodes(large, LARGE_NODES, devices)
    decisions = tuple(_decision(large, "A", policy, min(samples, _LARGE_SAMPLES)) for policy in policies)
    del empty, large
    document = workload.cluster_json(registry, nodes, devices, REBUILD_PODS)
    return Elsewhere(empty=unpopulated, large=decisions, rebuild=_timed(lambda: _rebuild(registry, document)))


def _rebuild(registry: Registry, document: bytes) -> Fleet:
    """As a scheduler does when it starts."""
    fleet = Fleet(registry)
    feed(fleet, read_cluster(msgspec.json.decode(document), registry))
    return fleet


def _add_all(fleet: Fleet, held: Sequence[tuple[str, Any]]) -> None:
    for key, placement in held:
        fleet.add_pod(key, placement)


def _decision(fleet: Fleet, name: str, policy: str, samples: int) -> DecisionTime:
    request = workload.REQUESTS[name]
    assert request.memory_mib is not None
    # One MiB more makes a shape the fleet has not seen and changes nothing else.
    shapes = [
        workload.pod_request(attrs.evolve(request, memory_mib=request.memory_mib + number + 1), policy=policy)
        for number in range(samples)
    ]
    pod = workload.pod_request(request, policy=policy)
    names = fleet.nodes
    fresh = _sampled(samples, lambda number: fleet.decide(shapes[number]))
    fits = fleet.decide(pod).best is not None
    return DecisionTime(
        workload=name,
        policy=policy,
        fits=fits,
        fresh=fresh,
        seen=_sampled(samples, lambda _number: fleet.decide(pod)),
        named=_sampled(samples, lambda _number: fleet.decide(pod, names)),
    )


def _fill(registry: Registry, devices: int, pods: int) -> Spent:
    fleet = Fleet(registry)
    workload.add_nodes(fleet, FILL_NODES, devices)
    request = workload.REQUESTS["A"]
    arrivals = [workload.pod_request(request, name=f"fill-{number}") for number in range(pods)]

    def place_all() -> None:
        for pod in arrivals:
            _choice, reservation = fleet.reserve(pod, now_s=0.0)
            if reservation:
                fleet.confirm(pod.key)

    return _timed(place_all)


def _yardstick(nodes: int, devices: int, samples: int) -> Sample:
    """The least any engine in NumPy could do: three comparisons over as many cards, and counting per node."""
    shape = devices, nodes
    slots, memory_mib, cores = (np.full(shape, amount, dtype=np.int64) for amount in (5, 40_000, 50))
    need_mib, need_cores = workload.REQUESTS["A"].memory_on(workload.CARD_MEMORY_MIB), workload.CORES_HELD

    def compare(_number: int) -> object:
        return ((slots > 0) & (memory_mib >= need_mib) & (cores >= need_cores)).any(axis=0)

    return _sampled(samples, compare)


def _timed(call: Callable[[], object]) -> Spent:
    cpu_s, wall_s = time.thread_time(), time.perf_counter()
    call()
    return Spent(wall_s=time.perf_counter() - wall_s, cpu_s=time.thread_time() - cpu_s)


def _sampled(times: int, call: Callable[[int], object]) -> Sample:
    walls, cpus = [], []
    for number in range(times):
        cpu, wall = time.thread_time_ns(), time.perf_counter_ns()
        call(number)
        walls.append((time.perf_counter_ns() - wall) / 1000)
        cpus.append((time.thread_time_ns() - cpu) / 1000)
    walls.sort()
    cpus.sort()
    middle, high = times // 2, min(times - 1, times * 99 // 100)
    return Sample(
        n=times,
        min_us=walls[0],
        p50_us=walls[middle],
        p99_us=walls[high],
        mean_us=statistics.fmean(walls),
        stdev_us=statistics.stdev(walls) if times > 1 else 0.0,
        cpu_min_us=cpus[0],
        cpu_p50_us=cpus[middle],
        cpu_p99_us=cpus[high],
    )


def _machine() -> dict[str, Any]:
    return {
        "cpus": os.cpu_count(),
        "load_1m": round(os.getloadavg()[0], 2),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
