"""What the bench promises: every target of the engine, each decided by CPU time."""

from __future__ import annotations

from typing import Any

import attrs
import msgspec
import pytest

from hami_core.fit import Fleet
from hami_core.inventory import feed, read_cluster
from hami_core.testing import fit_workload as workload
from hami_core.testing.fit_bench import DecisionTime, Elsewhere, FitBench, Sample, Spent
from hami_core.testing.fit_targets import Target, targets

FAST = Sample(n=2, min_us=1, p50_us=5, p99_us=9, mean_us=5, stdev_us=1, cpu_min_us=1, cpu_p50_us=5, cpu_p99_us=9)


def decision(policy: str = "binpack", *, fresh: Sample = FAST) -> DecisionTime:
    return DecisionTime(workload="A", policy=policy, fits=True, fresh=fresh, seen=FAST, named=FAST)


def report(**more: Any) -> FitBench:
    figures: dict[str, Any] = {
        "machine": {},
        "nodes": 5000,
        "devices": 8,
        "pods": 100_000,
        "plugin": "p",
        "build_nodes": Spent(wall_s=1, cpu_s=1),
        "build_pods": Spent(wall_s=1, cpu_s=1),
        "decisions": (decision(),),
        "add": FAST,
        "remove": FAST,
        "snapshot": FAST,
        "yardstick": FAST,
        "fill_pods": 2000,
        "fill": Spent(wall_s=10, cpu_s=1),
        "peak_rss_mib": 240.0,
        "elsewhere": Elsewhere(empty=decision(), large=(decision(),), rebuild=Spent(wall_s=9, cpu_s=4)),
    }
    return FitBench(**{**figures, **more})


def broken(made: FitBench) -> list[str]:
    return [target.name for target in targets(made) if not target.holds]


def test_every_target_is_there_and_wall_time_breaks_none() -> None:
    made = targets(report(add=attrs.evolve(FAST, p50_us=900)))
    assert [target.limit for target in made] == [
        "at most 1",
        "at most 2",
        "at most 0.1",
        "at least 0.8, at most 1.2",
        "at most 10",
        "at most 20",
        "at most 20",
        "at least 500",
        "at most 5",
        "at most 476.837",
    ]
    assert all(target.holds for target in made)


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        (
            {"decisions": (decision(), decision("spread", fresh=attrs.evolve(FAST, cpu_p50_us=1100)))},
            "p50: 5,000 nodes",
        ),
        ({"decisions": (decision(fresh=attrs.evolve(FAST, cpu_p99_us=2100)),)}, "p99: 5,000 nodes"),
        ({"decisions": (decision(fresh=attrs.evolve(FAST, cpu_min_us=1.3)),)}, "over with none"),
        ({"remove": attrs.evolve(FAST, cpu_p50_us=21)}, "remove a pod"),
        ({"fill": Spent(wall_s=1, cpu_s=4.1)}, "fill 1,000 nodes"),
        ({"peak_rss_mib": 477.0}, "peak RSS"),
    ],
)
def test_a_figure_over_its_limit_is_a_broken_promise(changed: dict[str, Any], names: str) -> None:
    (name,) = broken(report(**changed))
    assert names in name


def test_promises_are_about_one_fleet() -> None:
    made = targets(report(nodes=10, peak_rss_mib=9000.0))
    assert {target.limit for target in made} == {""}
    assert all(target.holds for target in made)


def test_a_figure_without_a_limit_holds() -> None:
    assert Target(name="any", unit="s", cpu=99.0).holds


def test_the_fleet_rebuilt_from_json_is_the_one_that_was_built() -> None:
    registry = workload.workload_registry()
    built, rebuilt = Fleet(registry), Fleet(registry)
    workload.add_nodes(built, 3, 8)
    for key, placement in workload.placements(3, 8, 20):
        built.add_pod(key, placement)
    feed(rebuilt, read_cluster(msgspec.json.decode(workload.cluster_json(registry, 3, 8, 20)), registry))
    for node in built.nodes:
        assert [(use.slots_used, use.memory_used_mib, use.core_units_used) for use in rebuilt.uses(node)] == [
            (use.slots_used, use.memory_used_mib, use.core_units_used) for use in built.uses(node)
        ]
        assert any(use.slots_used for use in rebuilt.uses(node))
