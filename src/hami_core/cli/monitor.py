"""`hami monitor`: metrics of the shares on this host, and priority between them."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hami_core.cli.options import log_format_option, machine_of, simulate_option

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hami_core.local.machine import Machine
    from hami_core.monitor.devices import DeviceWatch
    from hami_core.monitor.workload import Source
    from hami_core.registry import Registry


@click.command(epilog="Example: hami monitor --local")
@click.option("--local", is_flag=True, help="Watch the leases of `hami run` on this host.")
@simulate_option
@click.option(
    "--hook-path",
    type=click.Path(path_type=Path),
    envvar="HOOK_PATH",
    help="Watch the containers of a Kubernetes node, below this folder.",
)
@click.option("--node-name", envvar="NODE_NAME", help="The node's name in the metrics; default: the host's.")
@click.option(
    "--metrics-bind-address", default=":9394", show_default=True, metavar="HOST:PORT", help="0 serves no metrics."
)
@click.option("--legacy-metrics", is_flag=True, help="Also export the names that HAMi had before 2.9.")
@click.option("--feedback/--no-feedback", default=True, help="Tell shares who else is at work (priority).")
@click.option(
    "--period", type=click.FloatRange(min=0.05), default=0.5, show_default=True, help="Seconds between looks."
)
@log_format_option
def monitor(
    *,
    local: bool,
    simulate: str | None,
    hook_path: Path | None,
    node_name: str | None,
    metrics_bind_address: str,
    legacy_metrics: bool,
    feedback: bool,
    period: float,
    log_format: str,
) -> None:
    """Serve what shares use as Prometheus metrics, and give priority its meaning.

    While it runs, a share of high priority is held to its cores only beside another of high priority, and the others
    wait for it; a share of low priority that is alone on its device is not held at all.
    """
    from threading import Thread

    from hami_core.cli.scheduler import parse_listen
    from hami_core.kube.logs import set_up
    from hami_core.monitor.bypass import BypassReport
    from hami_core.monitor.feedback import Feedback
    from hami_core.monitor.monitor import Monitor
    from hami_core.monitor.reaper import Reaper
    from hami_core.registry import load_registry

    try:
        from hami_core.monitor.exporter import Exporter
        from hami_core.monitor.serving import serve
    except ModuleNotFoundError as err:
        raise click.ClickException(f"hami monitor needs {err.name}; run: pip install 'hami-core[monitor]'") from err

    if not local and simulate is None and hook_path is None:
        raise click.UsageError("say what to watch: --local, --simulate MACHINE or --hook-path FOLDER")
    set_up(log_format, "info")
    listen = None if metrics_bind_address == "0" else parse_listen(metrics_bind_address, "--metrics-bind-address")
    registry = load_registry()
    machine = machine_of(simulate, registry)
    sources: list[Source] = [] if not (local or simulate) else [_leases(machine)]
    node = node_name or socket.gethostname()
    if hook_path is not None:
        sources.append(_containers(hook_path, node))
    devices = _devices(machine, registry, node if hook_path is not None else machine.name)
    report = None if hook_path is None else BypassReport(hook_path)
    watch = Monitor(sources, devices, feedback=Feedback() if feedback else None, reaper=Reaper(), report=report)
    looking = Thread(target=devices.run, name="devices", daemon=True)
    with serve(Exporter(watch, legacy=legacy_metrics).registry(), listen) as url:
        looking.start()
        click.echo(f"watching; metrics on {url}" if url else "watching; no metrics")
        try:
            watch.run(period)
        finally:
            devices.end()


def _leases(machine: Machine) -> Source:
    from hami_core.local.machine import known_machines
    from hami_core.monitor.leases import LocalLeases

    every: Callable[[], Iterable[Machine]] = known_machines
    return LocalLeases((lambda: (machine,)) if machine.simulated else every)


def _containers(hook_path: Path, node: str) -> Source:
    from hami_core.monitor.containers import ContainerFolders

    return ContainerFolders(hook_path, node=node)


def _devices(machine: Machine, registry: Registry, node: str) -> DeviceWatch:
    import attrs

    from hami_core.local.sight import look_at
    from hami_core.monitor.devices import DeviceWatch

    return DeviceWatch([lambda: look_at(attrs.evolve(machine, name=node), registry)])
