"""Run the service: bind, answer, and end cleanly on SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from hami_core.fit import Fleet
from hami_core.registry import Registry
from hami_core.rpc.book import Book
from hami_core.rpc.fit.v1 import fit_pb2_grpc
from hami_core.rpc.listen import Address, listening
from hami_core.rpc.service import SERVICE, FitService
from hami_core.rpc.tls import TlsFiles

WATCH_LIMIT = 8192
"""Changes that may wait for one watcher: about 5 MB of small placements, a minute of a busy cluster."""

GRACE_S = 5.0
"""How long calls under way may take to end at shutdown."""

_OPTIONS = (
    # Two servers on one port would each get half of the calls and answer from half of the state.
    ("grpc.so_reuseport", 0),
    # A watcher whose machine vanished is found by pings; without them its stream would stay open for good.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.max_pings_without_data", 0),
)


@contextlib.asynccontextmanager
async def serving(
    registry: Registry,
    address: Address,
    *,
    tls: TlsFiles | None = None,
    insecure: bool = False,
    book: Book | None = None,
) -> AsyncIterator[Address]:
    """Serve while the block runs, and yield the address as it really is (port 0 becomes the port taken).

    Args:
        registry: the families.
        address: where to listen.
        tls: certificate and key, for TCP.
        insecure: listen without TLS where other machines can reach it.
        book: the state to serve; None: an empty one.

    Raises:
        BadConfig: address and TLS do not go together.
        CannotListen: the address is taken or not permitted.
    """
    book = Book(Fleet(registry), watch_limit=WATCH_LIMIT) if book is None else book
    service = FitService(registry, book)
    server = grpc.aio.server(options=_OPTIONS)
    fit_pb2_grpc.add_FitServiceServicer_to_server(service, server)
    checks = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    with listening(server, address, tls=tls, insecure=insecure) as bound:
        await server.start()
        await checks.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)
        expiry = asyncio.create_task(service.expire_when_due())
        try:
            yield bound
        finally:
            expiry.cancel()
            await checks.enter_graceful_shutdown()
            book.close()
            await server.stop(GRACE_S)


async def serve_until_signalled(
    registry: Registry,
    address: Address,
    *,
    tls: TlsFiles | None = None,
    insecure: bool = False,
    ready: Callable[[Address], None] = lambda _address: None,
) -> None:
    """Serve until SIGTERM or SIGINT. `ready` is told the address once calls are answered.

    Raises:
        BadConfig: address and TLS do not go together.
        CannotListen: the address is taken or not permitted.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with serving(registry, address, tls=tls, insecure=insecure) as bound:
        ready(bound)
        await stop.wait()
