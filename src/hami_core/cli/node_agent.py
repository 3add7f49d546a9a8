"""`hami node-agent`: the process on each node that finds cards and gives containers their shares."""

from __future__ import annotations

from pathlib import Path

import click

from hami_core.cli.options import Seconds, log_options, machine_of, simulate_option

_FILE = click.Path(path_type=Path)
_PATH = click.Path(path_type=Path, file_okay=False)


@click.command(epilog="Example: hami node-agent --node-name n1 --kubeconfig ~/.kube/config")
@click.option("--node-name", envvar="NODE_NAME", required=True, help="This node, as Kubernetes calls it.")
@click.option("--kubeconfig", type=_FILE, help="Without it: the pod's service account, else ~/.kube/config.")
@click.option("--context", help="Of the kubeconfig.")
@click.option(
    "--vendor",
    "vendors",
    multiple=True,
    metavar="V",
    help="Allocate cards of this vendor only, such as nvidia; repeatable. Without it: of every plugin that can.",
)
@click.option("--device-config-file", type=_FILE, help="HAMi's device-config.yaml.")
@simulate_option
@click.option(
    "--binding",
    type=click.Choice(["late", "allocating"]),
    default="late",
    show_default=True,
    help="late needs a container runtime with CDI; allocating takes HAMi's node lock.",
)
@click.option(
    "--node-config-file",
    type=_FILE,
    help="HAMi's config.json: what differs on single nodes. Read anew when it changes.",
)
@click.option("--device-split-count", type=click.IntRange(1), help="Containers to a card; else as configured, or 10.")
@click.option(
    "--device-memory-scaling",
    type=click.FloatRange(0, min_open=True),
    help="Over 1 promises more memory than there is; else as configured, or 1.",
)
@click.option(
    "--device-cores-scaling",
    type=click.FloatRange(0, min_open=True),
    help="Over 1 promises more cores than there are; else as configured, or 1.",
)
@click.option("--enable-numa-topology", is_flag=True, help="Tell kubelet which NUMA node a card is on.")
@click.option(
    "--core-policy",
    type=click.Choice(["default", "force", "disable"]),
    default="default",
    show_default=True,
    help="When containers are held to their cores.",
)
@click.option("--isolate-whole-devices", is_flag=True, help="Hold containers that have all of a card's memory, too.")
@click.option(
    "--allow-isolation-opt-out", is_flag=True, help="Let pods go without the library by hami.io/isolation: off."
)
@click.option("--refresh", type=Seconds(), default="30s", show_default=True, help="Between two looks at the cards.")
@click.option("--doubt-patience", type=Seconds(), default="5m", show_default=True, help="With a driver that is silent.")
@click.option("--recovery", type=Seconds(), default="2m", show_default=True, help="That a card must be well to return.")
@click.option(
    "--harmless-xid", "harmless_xids", type=int, multiple=True, help="Beside 13, 31, 43, 45, 68 and 109; repeatable."
)
@click.option(
    "--taint",
    type=click.Choice(["never", "any", "all"]),
    default="never",
    show_default=True,
    help="Taint the node while any card of a family, or all of them, are out of order.",
)
@click.option("--evict-after", type=Seconds(), help="Evict pods from cards that are out of order for so long.")
@click.option(
    "--plugins-dir",
    type=_PATH,
    default=Path("/var/lib/kubelet/device-plugins"),
    show_default=True,
    help="Where kubelet listens for device plugins.",
)
@click.option(
    "--pod-resources-socket",
    type=_FILE,
    default=Path("/var/lib/kubelet/pod-resources/kubelet.sock"),
    show_default=True,
    help="Where kubelet says which container holds which device.",
)
@click.option(
    "--cdi-dir",
    type=_PATH,
    default=Path("/var/run/cdi"),
    show_default=True,
    help="Where the container runtime reads CDI specs.",
)
@click.option(
    "--files-dir",
    type=_PATH,
    default=Path("/usr/local/hami"),
    show_default=True,
    help="Libraries and containers' files; the same path on the host.",
)
@log_options
def node_agent(
    *,
    node_name: str,
    kubeconfig: Path | None,
    context: str | None,
    vendors: tuple[str, ...],
    device_config_file: Path | None,
    simulate: str | None,
    binding: str,
    node_config_file: Path | None,
    device_split_count: int | None,
    device_memory_scaling: float | None,
    device_cores_scaling: float | None,
    enable_numa_topology: bool,
    core_policy: str,
    isolate_whole_devices: bool,
    allow_isolation_opt_out: bool,
    refresh: float,
    doubt_patience: float,
    recovery: float,
    harmless_xids: tuple[int, ...],
    taint: str,
    evict_after: float | None,
    plugins_dir: Path,
    pod_resources_socket: Path,
    cdi_dir: Path,
    files_dir: Path,
    log_format: str,
    log_level: str,
) -> None:
    """Find this node's cards, register them, serve kubelet's device plugin API, and clean up, until SIGTERM.

    Containers that run keep what they have while no agent runs; the next one finds everything where it was.
    """
    import asyncio
    import os

    try:
        from hami_core.kube.api import connect
        from hami_core.node.agent import NodeAgent, work_until_signalled
    except ModuleNotFoundError as err:
        raise click.ClickException(f"{err.name} is not installed; pip install 'hami-core[kubernetes]'") from err
    from hami_core.errors import UnknownName
    from hami_core.kube.logs import set_up
    from hami_core.node.health import XID_HARMLESS, HealthRules
    from hami_core.node.settings import BindingMode, NodePaths, NodeSettings, TaintWhen
    from hami_core.registry import load_registry
    from hami_core.wire.device_config import ConfigSections

    set_up(log_format, log_level)
    settings = NodeSettings(
        node=node_name,
        paths=NodePaths(plugins=plugins_dir, pod_resources=pod_resources_socket, cdi=cdi_dir, files=files_dir),
        binding=BindingMode(binding),
        vendors=vendors,
        node_config=node_config_file,
        split_count=device_split_count,
        memory_scaling=device_memory_scaling,
        core_scaling=device_cores_scaling,
        numa=enable_numa_topology,
        core_policy=core_policy,
        whole_device_untouched=not isolate_whole_devices,
        opt_out=allow_isolation_opt_out,
        refresh_s=refresh,
        health=HealthRules(
            doubt_patience_s=doubt_patience,
            recovery_s=recovery,
            harmless_xids=XID_HARMLESS | frozenset(harmless_xids),
        ),
        taint=TaintWhen(taint),
        evict_after_s=evict_after,
    )
    registry = load_registry(None if device_config_file is None else ConfigSections.load(device_config_file))
    for name in vendors:
        if name not in registry.vendors:
            raise UnknownName(kind="vendor", name=name, known=tuple(registry.vendors))

    environ = {**os.environ, **machine_of(simulate, registry).simulation(registry)}

    async def main() -> None:
        async with connect(kubeconfig, context) as api:
            await work_until_signalled(NodeAgent(api, registry, settings, environ=environ).run)

    asyncio.run(main())
