"""`hami bench`: measure this installation on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from hami_core.cli.output import emit, format_option, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console, RenderableType

    from hami_core.testing.fit_bench import FitBench, Sample
    from hami_core.testing.fit_targets import Target

_COLUMNS = {"P50 us": "p50_us", "P99 us": "p99_us", "CPU P50": "cpu_p50_us", "CPU P99": "cpu_p99_us"}


@click.group()
def bench() -> None:
    """Measure this installation on this machine. Figures depend on the machine and on what else it does."""


@bench.command(epilog="Example: hami bench fit --nodes 5000 --devices 8 --pods 100000")
@click.option("--nodes", type=click.IntRange(1, 200_000), default=5000, show_default=True, help="Nodes of the fleet.")
@click.option("--devices", type=click.IntRange(1, 64), default=8, show_default=True, help="Cards of each node.")
@click.option("--pods", type=click.IntRange(0), default=100_000, show_default=True, help="Pods placed beforehand.")
@click.option(
    "--policy",
    "policies",
    type=click.Choice(["binpack", "spread"]),
    multiple=True,
    default=("binpack", "spread"),
    show_default=True,
    help="Node and card policy; may be given twice.",
)
@click.option("--samples", type=click.IntRange(2, 100_000), default=300, show_default=True, help="Times each is done.")
@click.option("--fill", type=click.IntRange(1), default=2000, show_default=True, help="Pods put on 1,000 empty nodes.")
@click.option(
    "--elsewhere/--no-elsewhere",
    default=True,
    show_default=True,
    help="Measure the fleet without pods, 50,000 nodes and a rebuild from JSON, too.",
)
@format_option()
def fit(
    *,
    nodes: int,
    devices: int,
    pods: int,
    policies: tuple[str, ...],
    samples: int,
    fill: int,
    elsewhere: bool,
    output: str,
) -> None:
    """Measure the fit engine on a synthetic fleet.

    A asks for 1 card with 10,000 MiB and 10 cores, B for 4 cards with 30 cores each, C for 60 cores, which no card of
    a half-full fleet has. "fresh" is a request shape never seen before, "seen" the next pod of a job, "named" the same
    with every node named as a candidate. The yardstick is a bare NumPy comparison over as many cards.

    Columns are wall time, and CPU time of the measuring thread where other work on the machine should not count. What
    we promise stands beside what was measured; whether it holds is decided by CPU time. The promises are about the
    fleet of the default size, on two cores.
    """
    from attrs import asdict

    from hami_core.testing.fit_bench import bench_fit
    from hami_core.testing.fit_targets import targets
    from hami_core.testing.fit_workload import most_pods

    if pods > most_pods(nodes, devices):
        raise click.UsageError(f"--pods: {nodes} nodes of {devices} cards hold at most {most_pods(nodes, devices)}")
    report = bench_fit(
        nodes=nodes,
        devices=devices,
        pods=pods,
        policies=policies,
        samples=samples,
        fill_pods=fill,
        elsewhere=elsewhere,
    )
    promised = targets(report)
    document = {
        **report.to_dict(),
        "targets": [{**asdict(target), "holds": target.holds if target.limit else None} for target in promised],
    }
    emit(document, output, lambda console: _tables(report, promised, console))


def _tables(report: FitBench, promised: Sequence[Target], _console: Console) -> Sequence[RenderableType]:
    made = table("MEASURED", *_COLUMNS, right=tuple(_COLUMNS))
    for name, sample in _rows(report):
        made.add_row(name, *(f"{getattr(sample, field):.1f}" for field in _COLUMNS.values()))
    machine = report.machine
    fleet = f"{report.nodes} nodes x {report.devices} cards, {report.pods} pods, plugin {report.plugin}"
    build = f"built in {report.build_nodes.cpu_s:.2f} s (nodes) and {report.build_pods.cpu_s:.2f} s (pods) of CPU time"
    return [
        f"{fleet}; {build}; {machine['processor']}, {machine['cpus']} CPUs, load {machine['load_1m']}",
        made,
        "",
        _promises(promised),
    ]


def _promises(promised: Sequence[Target]) -> RenderableType:
    made = table("PROMISED", "UNIT", "LIMIT", "CPU", "WALL", "HOLDS", right=("CPU", "WALL"))
    for target in promised:
        wall = "-" if target.wall is None else f"{target.wall:.3g}"
        holds = ("yes" if target.holds else "NO") if target.limit else "-"
        made.add_row(target.name, target.unit, target.limit or "-", f"{target.cpu:.3g}", wall, holds)
    return cast("RenderableType", made)


def _rows(report: FitBench) -> Iterator[tuple[str, Sample]]:
    for decision in report.decisions:
        fits = "" if decision.fits else " (fits nowhere)"
        for state, sample in (("fresh", decision.fresh), ("seen", decision.seen), ("named", decision.named)):
            yield f"decide {decision.workload} {decision.policy} {state}{fits}", sample
    yield "add pod", report.add
    yield "remove pod", report.remove
    yield "snapshot", report.snapshot
    yield "yardstick: bare NumPy pass", report.yardstick
