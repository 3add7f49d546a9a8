"""`hami scheduler`: the webhook and the scheduler extender of a Kubernetes cluster."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hami_core.cli.options import Seconds, log_options
from hami_core.errors import shown

if TYPE_CHECKING:
    from hami_core.kube.settings import ElectionSettings, Listen, Settings
    from hami_core.kube.tls import TlsFiles

F = TypeVar("F", bound=Callable[..., Any])

_FILE = click.Path(path_type=Path)


def _flags(*options: Callable[[F], F]) -> Callable[[F], F]:
    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


_DURATION = Seconds()

_serving = _flags(
    click.option(
        "--http-bind",
        "--http_bind",
        default="127.0.0.1:8080",
        show_default=True,
        metavar="HOST:PORT",
        help="Where the webhook and the extender are served.",
    ),
    click.option("--cert-file", "--cert_file", type=_FILE, help="PEM certificate chain; read anew when it changes."),
    click.option("--key-file", "--key_file", type=_FILE, help="PEM key of that certificate."),
    click.option(
        "--metrics-bind-address", default=":9395", show_default=True, metavar="HOST:PORT", help="0 serves no metrics."
    ),
    click.option("--legacy-metrics", is_flag=True, help="Serve the metrics under HAMi's old names too."),
    log_options,
)
_cluster = _flags(
    click.option("--kubeconfig", type=_FILE, help="Without it: the pod's service account, else ~/.kube/config."),
    click.option("--context", help="Of the kubeconfig."),
    click.option("--device-config-file", type=_FILE, help="HAMi's device-config.yaml; read anew when it changes."),
    click.option("--node-label-selector", default="", help="Only nodes with these labels are looked at."),
    click.option("--dry-run", is_flag=True, help="Write nothing to the cluster: answer, and say what would be done."),
)
_deciding = _flags(
    click.option(
        "--scheduler-name", default="hami-scheduler", show_default=True, help="What the webhook writes in pods."
    ),
    click.option(
        "--force-overwrite-default-scheduler/--no-force-overwrite-default-scheduler",
        default=True,
        help="Whether pods that name default-scheduler are taken too.",
    ),
    click.option(
        "--node-scheduler-policy",
        default="binpack",
        show_default=True,
        help="Order of nodes where the pod names none: binpack, spread, or a plugin's.",
    ),
    click.option(
        "--gpu-scheduler-policy",
        default="spread",
        show_default=True,
        help="Order of cards on a node where the pod names none: binpack, spread, topology-aware, ...",
    ),
    click.option(
        "--node-choice",
        type=click.Choice(["hami", "scheduler"]),
        default="hami",
        show_default=True,
        help="Who picks among the nodes that fit; scheduler needs prioritizeVerb.",
    ),
    click.option(
        "--bind-writes",
        type=click.Choice(["auto", "one", "two"]),
        default="auto",
        show_default=True,
        help="The binding alone, or a patch before it; auto: by the API server's version.",
    ),
    click.option("--reservation-hold", type=_DURATION, default="60s", show_default=True, help="From filter to bind."),
    click.option(
        "--node-lock-timeout",
        type=_DURATION,
        default="5m",
        show_default=True,
        envvar="HAMI_NODELOCK_EXPIRE",
        help="After which a node's lock counts as left behind.",
    ),
    click.option(
        "--node-lock-retry-timeout", type=_DURATION, default="28s", show_default=True, help="For gang members."
    ),
    click.option(
        "--trusted-user",
        "trusted_users",
        multiple=True,
        metavar="PATTERN",
        help="A user beside this process and the nodes that may write devices on pods, as a vendor's plugin does.",
    ),
)
_TAKEN_FOR_HAMI = ("kube-qps", "kube-burst", "kube-timeout", "v")
"""Flags of HAMi's scheduler that have nothing to set here: its manifests work unchanged."""

_ignored = _flags(
    *(
        click.option(f"--{name}" if len(name) > 1 else f"-{name}", hidden=True, expose_value=False)
        for name in _TAKEN_FOR_HAMI
    ),
    *(
        click.option(f"--{name}", is_flag=True, hidden=True, expose_value=False)
        for name in ("debug", "profiling", "enable-ascend", "enable-iluvatar")
    ),
)
_electing = _flags(
    click.option("--leader-elect/--no-leader-elect", default=False, help="One of several processes decides."),
    click.option(
        "--leader-elect-resource-name",
        default="hami-scheduler-extender",
        show_default=True,
        help="Name of the Lease that the leader holds.",
    ),
    click.option("--leader-elect-resource-namespace", default="", help="Without it: the pod's own, else kube-system."),
)


@click.command(epilog="Example: hami scheduler --kubeconfig ~/.kube/config --dry-run")
@_serving
@_cluster
@_deciding
@_electing
@_ignored
def scheduler(
    *,
    http_bind: str,
    cert_file: Path | None,
    key_file: Path | None,
    metrics_bind_address: str,
    log_format: str,
    log_level: str,
    kubeconfig: Path | None,
    context: str | None,
    **flags: Any,
) -> None:
    """Serve /webhook, /filter, /prioritize, /bind, /explain, /healthz, /readyz, and /metrics apart, until SIGTERM.

    With a certificate the first listener speaks HTTPS, as the API server demands of a webhook.
    """
    import asyncio

    try:
        import uvloop

        from hami_core.kube.api import connect
        from hami_core.kube.process import Scheduler, serve
    except ModuleNotFoundError as err:
        raise click.ClickException(f"{err.name} is not installed; pip install 'hami-core[kubernetes]'") from err
    from hami_core.kube.logs import set_up
    from hami_core.registry import load_registry
    from hami_core.wire.device_config import ConfigSections

    set_up(log_format, log_level)
    settings = _settings(**flags)
    tls = _tls(cert_file, key_file)
    listen = parse_listen(http_bind, "--http-bind")
    metrics = None if metrics_bind_address == "0" else parse_listen(metrics_bind_address, "--metrics-bind-address")
    file = settings.device_config
    registry = load_registry(None if file is None else ConfigSections.load(file))

    async def main() -> None:
        async with connect(kubeconfig, context) as api:
            await serve(Scheduler(api, registry, settings, tls), listen, metrics, tls, ready=click.echo)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def parse_listen(text: str, flag: str) -> Listen:
    """Read ``HOST:PORT``; without a host every address of this machine.

    Raises:
        click.UsageError: anything else.
    """
    from hami_core.kube.settings import Listen

    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or not 0 <= int(port) <= 65535 or (":" in host and not host.startswith("[")):  # noqa: PLR2004
        raise click.UsageError(f"{flag} takes HOST:PORT, [IPv6]:PORT or :PORT; got {shown(text)}")
    return Listen(host=host.strip("[]") or "0.0.0.0", port=int(port))  # noqa: S104 - what leaving the host out means


def _settings(
    *,
    scheduler_name: str,
    force_overwrite_default_scheduler: bool,
    node_scheduler_policy: str,
    gpu_scheduler_policy: str,
    node_label_selector: str,
    node_choice: str,
    bind_writes: str,
    reservation_hold: float,
    node_lock_timeout: float,
    node_lock_retry_timeout: float,
    trusted_users: tuple[str, ...],
    device_config_file: Path | None,
    dry_run: bool,
    legacy_metrics: bool,
    leader_elect: bool,
    leader_elect_resource_name: str,
    leader_elect_resource_namespace: str,
) -> Settings:
    from hami_core.admission import AdmissionSettings
    from hami_core.kube.settings import BindWrites, NodeChoice, Settings

    return Settings(
        admission=AdmissionSettings(
            scheduler_name=scheduler_name, overwrite_default_scheduler=force_overwrite_default_scheduler
        ),
        node_policy=node_scheduler_policy,
        device_policy=gpu_scheduler_policy,
        node_selector=node_label_selector,
        node_choice=NodeChoice(node_choice),
        bind_writes=BindWrites(bind_writes),
        hold_s=reservation_hold,
        lock_timeout_s=node_lock_timeout,
        lock_retry_s=node_lock_retry_timeout,
        trusted_users=trusted_users,
        election=_election(leader_elect_resource_namespace, leader_elect_resource_name) if leader_elect else None,
        device_config=device_config_file,
        dry_run=dry_run,
        legacy_metrics=legacy_metrics,
    )


def _election(namespace: str, name: str) -> ElectionSettings:
    from hami_core.kube.settings import ElectionSettings

    mounted = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
    own = mounted.read_text().strip() if mounted.is_file() else ""
    return ElectionSettings(namespace=namespace or own or "kube-system", name=name)


def _tls(certificate: Path | None, key: Path | None) -> TlsFiles | None:
    from hami_core.kube.tls import TlsFiles

    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise click.UsageError("TLS takes --cert-file and --key-file, both.")
    files = TlsFiles(certificate, key)
    files.load()
    return files
