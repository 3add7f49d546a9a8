"""`hami serve-fit`: the fit engine for programs in other languages, over gRPC."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from hami_core.rpc.listen import Address
    from hami_core.rpc.tls import TlsFiles

_FILE = click.Path(path_type=Path)


@click.command("serve-fit", epilog="Example: hami serve-fit --listen unix:/run/hami/fit.sock")
@click.option(
    "--listen", required=True, metavar="ADDRESS", help="unix:/path, HOST:PORT or [IPv6]:PORT; port 0 takes a free one."
)
@click.option(
    "--tls-cert", type=_FILE, metavar="FILE", help="PEM certificate chain of the server; read anew when it changes."
)
@click.option("--tls-key", type=_FILE, metavar="FILE", help="PEM key of that certificate.")
@click.option(
    "--tls-client-ca", type=_FILE, metavar="FILE", help="PEM authority that clients must have a certificate of."
)
@click.option("--insecure", is_flag=True, help="Listen without TLS where other machines can reach it.")
@click.option(
    "--device-config", type=_FILE, metavar="FILE", help="HAMi's device-config.yaml. Without it, built-in defaults."
)
def serve_fit(
    *,
    listen: str,
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_client_ca: Path | None,
    insecure: bool,
    device_config: Path | None,
) -> None:
    """Answer hami.fit.v1.FitService until SIGTERM or SIGINT.

    A Unix socket is for this user only, and goes away at the end. TCP without TLS is for the loopback unless --insecure
    is said. gRPC's health and reflection services answer too. The state is in memory: clients send it.
    """
    import asyncio

    from hami_core.registry import load_registry
    from hami_core.rpc.listen import parse_address
    from hami_core.rpc.server import serve_until_signalled
    from hami_core.wire.device_config import ConfigSections

    address = parse_address(listen)
    tls = _tls(tls_cert, tls_key, tls_client_ca)
    registry = load_registry(None if device_config is None else ConfigSections.load(device_config))
    asyncio.run(serve_until_signalled(registry, address, tls=tls, insecure=insecure, ready=_announce))


def _tls(certificate: Path | None, key: Path | None, client_ca: Path | None) -> TlsFiles | None:
    from hami_core.rpc.tls import TlsFiles

    if certificate is not None and key is not None:
        return TlsFiles(certificate=certificate, key=key, client_ca=client_ca)
    if certificate is None and key is None and client_ca is None:
        return None
    raise click.UsageError("TLS takes --tls-cert and --tls-key, both.")


def _announce(address: Address) -> None:
    click.echo(f"listening on {address}")
