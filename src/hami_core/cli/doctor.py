"""`hami doctor`: what is wrong with a cluster's installation, and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hami_core.cli.options import Seconds
from hami_core.cli.output import emit, format_option, plain, table
from hami_core.errors import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, RenderableType

    from hami_core.kube.doctor import Finding

_COLOURS = {"problem": "red", "unknown": "yellow", "note": "cyan", "ok": "green"}


@click.command(epilog="Example: hami doctor --namespace hami-system")
@click.option(
    "--kubeconfig", type=click.Path(path_type=Path), help="Without it: the pod's account, else ~/.kube/config."
)
@click.option("--context", help="Of the kubeconfig.")
@click.option("--namespace", help="Where the chart is installed. Without it: looked for.")
@click.option(
    "--metrics-url",
    metavar="URL",
    help="Metrics of hami scheduler, as http://HOST:9395/metrics. Without it: of its pods, through the API server.",
)
@click.option(
    "--pending", type=Seconds(), default="30s", show_default=True, help="Pods that wait longer are looked into."
)
@format_option()
def doctor(
    *,
    kubeconfig: Path | None,
    context: str | None,
    namespace: str | None,
    metrics_url: str | None,
    pending: float,
    output: str,
) -> int:
    """Examine the installation in a cluster: versions, webhook, kube-scheduler, rights, nodes, locks, pending pods.

    Reads only; the webhook is tried with a pod that is created as a dry run. Exit code: 0 no problem, 1 problems.
    """
    import asyncio
    from functools import partial

    try:
        from hami_core.kube.api import connect
        from hami_core.kube.doctor import Level, Look, Wanted, examine
    except ModuleNotFoundError as err:
        raise click.ClickException(f"{err.name} is not installed; pip install 'hami-core[kubernetes]'") from err
    if metrics_url is not None and not metrics_url.startswith(("http://", "https://")):
        raise click.UsageError(f"--metrics-url takes a URL with http:// or https://; got {shown(metrics_url)}")
    metrics = None if metrics_url is None else partial(_fetch, metrics_url)
    wanted = Wanted(namespace=namespace, metrics=metrics, pending_s=pending)

    async def work() -> list[Finding]:
        async with connect(kubeconfig, context) as api:
            return await examine(Look(api, wanted))

    found = asyncio.run(work())
    document = {"findings": [_as_dict(finding) for finding in found]}
    emit(document, output, lambda console: _tables(found, console))
    return int(any(finding.level is Level.PROBLEM for finding in found))


def _fetch(url: str) -> str:
    from urllib.request import urlopen

    from hami_core.errors import ApiFailed

    try:
        with urlopen(url, timeout=30) as answer:  # noqa: S310 - the scheme was looked at
            body: bytes = answer.read()
    except OSError as err:
        raise ApiFailed(call=f"GET {url}", problem=str(err)) from err
    return body.decode(errors="replace")


def _as_dict(finding: Finding) -> dict[str, Any]:
    return {
        "check": finding.check,
        "level": str(finding.level),
        "about": finding.about,
        "what": finding.what,
        "do": finding.do or None,
    }


def _tables(found: Sequence[Finding], _console: Console) -> list[RenderableType]:
    made = table("LEVEL", "CHECK", "WHAT", fold=("WHAT",))
    for finding in found:
        colour = _COLOURS[finding.level]
        what = f"{plain(finding.about)}: {plain(finding.what)}"
        made.add_row(f"[{colour}]{finding.level}[/]", plain(finding.check), what)
        if finding.do:
            made.add_row("", "", f"-> {plain(finding.do)}")
    problems = sum(finding.level == "problem" for finding in found)
    return [made, f"{problems} problem{'' if problems == 1 else 's'}"]
