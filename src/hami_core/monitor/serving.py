"""The address that Prometheus scrapes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, start_http_server

from hami_core.errors import HamiError

if TYPE_CHECKING:
    from hami_core.kube.settings import Listen


class CannotListen(HamiError):
    """An address that cannot be listened on."""


@contextlib.contextmanager
def serve(registry: CollectorRegistry, listen: Listen | None) -> Iterator[str]:
    """Answer scrapes, each in a thread of its own, until the end of the block; the URL, empty without an address.

    Raises:
        CannotListen: somebody else does, or there is no such address here.
    """
    if listen is None:
        yield ""
        return
    try:
        server, thread = start_http_server(listen.port, listen.host, registry)
    except OSError as err:
        raise CannotListen(f"cannot serve metrics on {listen}: {err.strerror}; see --metrics-bind-address") from err
    try:
        yield f"http://{listen.host}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
