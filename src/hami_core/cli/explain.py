"""`hami explain`: why a pod is where it is, or why it waits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hami_core.cli.output import emit, format_option, plain, table
from hami_core.errors import ApiFailed, shown

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_FILE = click.Path(path_type=Path)


@click.group("explain")
def explain() -> None:
    """Ask the scheduler why it decided as it did."""


@explain.command("pod", epilog="Example: hami explain pod team-a/train-0")
@click.argument("pod", metavar="NAMESPACE/NAME")
@click.option("--kubeconfig", type=_FILE, help="Without it: the pod's service account, else ~/.kube/config.")
@click.option("--context", help="Of the kubeconfig.")
@click.option(
    "--service",
    default="kube-system/hami-scheduler:443",
    show_default=True,
    metavar="NAMESPACE/NAME:PORT",
    help="The scheduler's service, asked through the API server.",
)
@click.option("--server", metavar="URL", help="Ask this address of a scheduler itself, such as http://127.0.0.1:8080.")
@click.option("--ca-file", type=_FILE, help="PEM authority of that server's certificate.")
@format_option()
def explain_pod(
    *,
    pod: str,
    kubeconfig: Path | None,
    context: str | None,
    service: str,
    server: str | None,
    ca_file: Path | None,
    output: str,
) -> int:
    """Say what was last decided about a pod: per node and card why not, and what would help.

    Exit code: 0 it has a place, 75 it has none, 2 nothing is known of it.
    """
    import asyncio

    namespace, _, name = pod.rpartition("/")
    path = ("explain", namespace or "default", name)
    if server is None:
        raw = asyncio.run(_through_api(kubeconfig, context, service, path))
    else:
        raw = _from_server(server, ca_file, path)
    document: dict[str, Any] = json.loads(raw)
    emit(document, output, lambda console: _tables(document, console))
    return 75 if document["outcome"] in ("rejected", "failed", "waiting") else 0


async def _through_api(kubeconfig: Path | None, context: str | None, service: str, path: tuple[str, ...]) -> bytes:
    from hami_core.kube.api import connect, path_of

    where, _, port = service.rpartition(":")
    namespace, _, name = where.partition("/")
    if not name or not port:
        raise click.UsageError(f"--service takes NAMESPACE/NAME:PORT; got {shown(service)}")
    async with connect(kubeconfig, context) as api:
        proxy = path_of("api", "v1", "namespaces", namespace, "services") + f"/https:{name}:{port}/proxy"
        return await api.get(proxy + path_of(*path))


def _from_server(server: str, ca_file: Path | None, path: tuple[str, ...]) -> bytes:
    import ssl
    from urllib.error import HTTPError, URLError
    from urllib.parse import quote
    from urllib.request import urlopen

    if not server.startswith(("http://", "https://")):
        raise click.UsageError(f"--server takes a URL with http:// or https://; got {shown(server)}")
    url = server.rstrip("/") + "/" + "/".join(quote(part, safe="") for part in path)
    context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    try:
        with urlopen(url, context=context if url.startswith("https") else None, timeout=30) as answer:  # noqa: S310
            body: bytes = answer.read()
            return body
    except HTTPError as err:
        raise ApiFailed(call=f"GET {url}", status=err.code, problem=_problem(err.read())) from err
    except (URLError, OSError) as err:
        raise ApiFailed(call=f"GET {url}", problem=str(err)) from err


def _problem(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode(errors="replace")


def _tables(document: dict[str, Any], console: Console) -> list[RenderableType]:  # noqa: ARG001 - emit's signature
    node = document["node"]
    head = f"pod {plain(document['pod'])}: {plain(document['outcome'])}" + (f" on {plain(node)}" if node else "")
    parts: list[RenderableType] = [f"{head} at {plain(document['when'])}, decision {plain(document['decision'])}"]
    parts.append(plain(document["message"]))
    if document["nodes"]:
        made = table("NODE", "WHY NOT", fold=("WHY NOT",))
        for name, lines in document["nodes"].items():
            made.add_row(plain(name), "\n".join(plain(line) for line in lines))
        parts.append(made)
    parts.extend(f"note: {plain(line)}" for line in document.get("notes", ()))
    parts.extend(f"would help: {plain(line)}" for line in document.get("advice", ()))
    return parts
