"""`hami top`: devices and shares of this host or of a cluster, live."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hami_core.cli.options import machine_of, simulate_option
from hami_core.cli.output import emit, format_option, stdout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console, RenderableType

    from hami_core.monitor.cluster import ClusterView

_REFRESH_S = 1.0
_CLUSTER_REFRESH_S = 5.0


@click.command(epilog="Example: hami top --simulate a40x2")
@click.option("--once", is_flag=True, help="Show one second and end; for people and, with -o json, for programs.")
@simulate_option
@click.option("--cluster", is_flag=True, help="Show nodes, devices and pods of a whole Kubernetes cluster.")
@click.option("--node", "nodes", multiple=True, metavar="NODE", help="With --cluster: only this node; may be repeated.")
@click.option(
    "--kubeconfig",
    type=click.Path(path_type=Path),
    help="With --cluster. Without it: the pod's service account, else ~/.kube/config.",
)
@click.option("--context", help="Of the kubeconfig.")
@format_option()
def top(
    *,
    once: bool,
    simulate: str | None,
    cluster: bool,
    nodes: tuple[str, ...],
    kubeconfig: Path | None,
    context: str | None,
    output: str,
) -> None:
    """Show devices and shares: memory, compute time, waiting, refusals, and whether isolation is on.

    Without --simulate and --cluster: this host's devices, and the leases on it.
    """
    if output != "table" and not once:
        raise click.UsageError(f"the live view is for people; add --once for -o {output}")
    if cluster and simulate is not None:
        raise click.UsageError("--cluster shows real nodes; leave out --simulate")
    if not cluster and (nodes or kubeconfig is not None or context is not None):
        raise click.UsageError("--node, --kubeconfig and --context are of a cluster; add --cluster")
    if cluster:
        _cluster(nodes, kubeconfig, context, once=once, output=output)
    else:
        _host(simulate, once=once, output=output)


def _host(simulate: str | None, *, once: bool, output: str) -> None:
    from threading import Thread

    from hami_core.cli.top_host import as_dict, tables
    from hami_core.local.sight import look_at
    from hami_core.monitor.devices import DeviceWatch
    from hami_core.monitor.leases import LocalLeases
    from hami_core.monitor.monitor import Monitor
    from hami_core.registry import load_registry

    registry = load_registry()
    machine = machine_of(simulate, registry)
    devices = DeviceWatch([lambda: look_at(machine, registry)], period_s=_REFRESH_S)
    watch = Monitor([LocalLeases(lambda: (machine,))], devices)
    if once:
        watch.tick()
        devices.look()  # a probe takes about as long as the interval that utilisation is measured over
        time.sleep(_REFRESH_S)
        watch.tick()
        picture = watch.picture()
        emit(as_dict(picture), output, lambda console: tables(picture, console))
        return
    Thread(target=devices.run, name="devices", daemon=True).start()

    def look(console: Console) -> Sequence[RenderableType]:
        watch.tick()
        return tables(watch.picture(), console)

    _live(look, _REFRESH_S)


def _cluster(nodes: tuple[str, ...], kubeconfig: Path | None, context: str | None, *, once: bool, output: str) -> None:
    import asyncio

    from hami_core.cli.top_cluster import as_dict, tables

    try:
        from hami_core.kube.api import connect
        from hami_core.monitor.cluster import look_at_cluster
    except ModuleNotFoundError as err:
        raise click.ClickException(f"{err.name} is not installed; pip install 'hami-core[kubernetes]'") from err

    async def look() -> ClusterView:
        async with connect(kubeconfig, context) as api:
            return await look_at_cluster(api, only=nodes)

    if once:
        view = asyncio.run(look())
        emit(as_dict(view), output, lambda console: tables(view, console))
        return
    _live(lambda console: tables(asyncio.run(look()), console), _CLUSTER_REFRESH_S)


def _live(look: Callable[[Console], Sequence[RenderableType]], period_s: float) -> None:
    from rich.console import Group
    from rich.live import Live

    console = stdout()
    with Live("looking...", console=console, auto_refresh=False, screen=console.is_terminal) as live:
        try:
            while True:
                live.update(Group(*look(console)), refresh=True)
                time.sleep(period_s)
        except KeyboardInterrupt:
            return
