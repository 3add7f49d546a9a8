"""A moment to act in: the API server asks us before it carries out a write of the scheduler."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.cluster.api import Object
from tests.cluster.control_plane import ControlPlane
from tests.cluster.processes import free_port, wait_for

NAME = "interceptor"

Request = dict[str, Any]
Answer = bool | None
"""Whether the write is carried out; None: this is not the write that is waited for, let it pass."""


class Interceptor:
    """A validating webhook for what `user` writes: nodes, pods and bindings.

    `act` is called with the first request that it does not answer with None, and decides it; later ones pass.
    """

    def __init__(self, plane: ControlPlane, user: str) -> None:
        self._api = plane.api
        self._act: Callable[[Request], Answer] | None = None
        self._lock = threading.Lock()
        self._seen = False
        self.acted = threading.Event()
        port = free_port()
        cert, key = plane.certificate(NAME, "127.0.0.1")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self._decide))
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, name=NAME)
        self._thread.start()
        rules = [
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["pods", "nodes"]},
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods/binding"]},
        ]
        self._configuration: Object = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": NAME},
            "webhooks": [
                {
                    "name": "interceptor.tests.io",
                    "admissionReviewVersions": ["v1"],
                    "sideEffects": "None",
                    "failurePolicy": "Fail",
                    "clientConfig": {
                        "url": f"https://127.0.0.1:{port}/",
                        "caBundle": base64.b64encode(plane.ca.read_bytes()).decode(),
                    },
                    "rules": rules,
                    "matchConditions": [{"name": "user", "expression": f'request.userInfo.username == "{user}"'}],
                }
            ],
        }

    def watch(self, touch: Callable[[], object]) -> None:
        """Begin; `touch` writes something as the user, and is called until the API server asks us about it."""
        self._api.apply(self._configuration)

        def asked() -> bool:
            touch()
            return self._seen

        wait_for("the API server asks", asked, timeout_s=60)

    def expect(self, act: Callable[[Request], Answer]) -> None:
        """Have `act` decide the next write that it is meant for."""
        with self._lock:
            self.acted.clear()
            self._act = act

    def close(self) -> None:
        self._api.delete(self._configuration)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _decide(self, request: Request) -> bool:
        self._seen = True
        with self._lock:
            answer = None if self._act is None else self._act(request)
            if answer is None:
                return True
            self._act = None
        self.acted.set()
        return answer


def is_binding(request: Request) -> bool:
    """Whether a pod is about to be bound."""
    return bool(request["kind"]["kind"] == "Binding")


def _handler(decide: Callable[[Request], bool]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["content-length"])))
            request = review["request"]
            response = {"uid": request["uid"], "allowed": decide(request)}
            body = json.dumps({**review, "request": None, "response": response}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: a test says what it needs."""

    return Handler
