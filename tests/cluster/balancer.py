"""The Service that kube-scheduler calls: connections go to the pod that its selector finds, as with kube-proxy."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

from tests.cluster.processes import NotReady, wait_for

_CHUNK = 65536


class Balancer:
    """Forwards TCP connections to whatever port `target` says at the time; refuses them while it says None."""

    def __init__(self, port: int, target: Callable[[], int | None]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", port))
        self._threads = [threading.Thread(target=self._accept, name="balancer", daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        """Take no more connections; those that are open end with their peers."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                port = wait_for("somebody behind the service", self._target, timeout_s=1)
                server = socket.create_connection(("127.0.0.1", port))
            except (NotReady, OSError):
                return
            with server:
                back = threading.Thread(target=_pump, args=(server, client), daemon=True)
                back.start()
                _pump(client, server)
                back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Copy until the source ends, and say so to both."""
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK):
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
