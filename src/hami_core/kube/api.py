"""The API server as a few calls: bytes in, bytes out. Authentication is the Kubernetes client's, decoding is not."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from hami_core.errors import ApiFailed, BadConfig, BadWire

_CALL_TIMEOUT_S = 15.0
_CONNECT_TIMEOUT_S = 5.0
_READ_TIMEOUT_S = 120.0  # bookmarks come about once a minute: a silent watch is a dead one
_ATTEMPTS = 4
_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 2.0
_CONNECTIONS = 256
_BUSY = frozenset({408, 429, 500, 502, 503, 504})

MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
"""Merges lists by their keys: what others wrote into a list (a node's conditions) stays."""


def path_of(*parts: str) -> str:
    """Join parts of a URL path, each escaped: names may come from a request."""
    return "/" + "/".join(quote(part, safe="") for part in parts)


def pod_path(namespace: str, name: str, *more: str) -> str:
    """The path of a pod, or of its sub-resource."""
    return path_of("api", "v1", "namespaces", namespace, "pods", name, *more)


def node_path(name: str) -> str:
    """The path of a node."""
    return path_of("api", "v1", "nodes", name)


class ApiServer:
    """Calls with authentication and retries; made by `connect`."""

    def __init__(self, session: aiohttp.ClientSession, configuration: Any, ssl: Any) -> None:
        self._session = session
        self._configuration = configuration
        self._ssl = ssl

    @property
    def host(self) -> str:
        """The server's URL."""
        return str(self._configuration.host)

    async def get(
        self, path: str, params: Mapping[str, str] | None = None, *, timeout_s: float = _CALL_TIMEOUT_S
    ) -> bytes:
        """Read. Raises ApiFailed."""
        return await self._call("GET", path, params=params, timeout_s=timeout_s)

    async def post(self, path: str, body: object) -> bytes:
        """Create. Raises ApiFailed; after a broken connection a repeated creation may find its own first try."""
        return await self._call("POST", path, body=body)

    async def put(self, path: str, body: object) -> bytes:
        """Replace. Raises ApiFailed."""
        return await self._call("PUT", path, body=body)

    async def patch(self, path: str, body: object, *, form: str = MERGE_PATCH) -> bytes:
        """Apply a patch. Raises ApiFailed."""
        return await self._call("PATCH", path, body=body, content_type=form)

    async def watch(self, path: str, params: Mapping[str, str]) -> AsyncIterator[bytes]:
        """Lines of a watch, as they come. Raises ApiFailed, aiohttp.ClientError or TimeoutError when it breaks."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S, sock_read=_READ_TIMEOUT_S)
        async with self._request("GET", path, params=params, timeout=timeout) as response:
            if response.status >= 300:  # noqa: PLR2004 - HTTP
                raise _failed("GET", path, response.status, await response.read())
            rest = bytearray()
            # Not readline(): one object may be longer than the client's limit for a line.
            async for chunk in response.content.iter_any():
                rest += chunk
                *lines, tail = bytes(rest).split(b"\n") if b"\n" in chunk else [bytes(rest)]
                if lines:
                    rest = bytearray(tail)
                for line in lines:
                    if line:
                        yield line

    async def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
        timeout_s: float = _CALL_TIMEOUT_S,
    ) -> bytes:
        data = None if body is None else msgspec.json.encode(body)
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=_CONNECT_TIMEOUT_S)
        attempt = 1
        while True:
            try:
                async with self._request(
                    method, path, params=params, data=data, content_type=content_type, timeout=timeout
                ) as response:
                    return await _content(response, method, path)
            except ApiFailed as err:
                failed = err
            except (aiohttp.ClientError, TimeoutError) as err:
                failed = ApiFailed(call=f"{method} {path}", problem=str(err) or type(err).__name__)
                failed.__cause__ = err
            if attempt == _ATTEMPTS or not _worth_retrying(failed):
                raise failed
            # A loop of our own: a general one costs a tenth of a bind where nothing fails.
            longest_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2**attempt)
            await asyncio.sleep(random.uniform(0, longest_s))  # noqa: S311 - no secret
            attempt += 1

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None,
        timeout: aiohttp.ClientTimeout,
        data: bytes | None = None,
        content_type: str = "application/json",
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = {"Accept": "application/json"}
        if data is not None:
            headers["Content-Type"] = content_type
        token = await self._configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        if token:
            headers["Authorization"] = token
        async with self._session.request(
            method,
            URL(self.host + path, encoded=True),
            params=params,
            data=data,
            headers=headers,
            timeout=timeout,
            ssl=self._ssl,
            proxy=self._configuration.proxy,
        ) as response:
            yield response


class _Version(msgspec.Struct):
    minor: str


async def server_minor(api: ApiServer) -> int:
    """The server's minor version: 37 of 1.37, also where a vendor calls it ``37+``.

    Raises:
        ApiFailed: no answer.
        BadWire: another answer.
    """
    answer = await api.get("/version")
    try:
        return int(msgspec.json.decode(answer, type=_Version).minor.rstrip("+"))
    except ValueError as err:  # msgspec's errors are some
        raise BadWire(what="answer to GET /version", problem=str(err)) from err


@asynccontextmanager
async def connect(kubeconfig: Path | None = None, context: str | None = None) -> AsyncIterator[ApiServer]:
    """Connect as a kubeconfig says; without one as the pod's service account, else as ``~/.kube/config`` says.

    Raises:
        BadConfig: there is none that can be used.
    """
    # The client takes two seconds to import: not before it is needed.
    from kubernetes.aio import config  # noqa: PLC0415
    from kubernetes.aio.client import Configuration  # noqa: PLC0415
    from kubernetes.aio.client.rest import RESTClientObject  # noqa: PLC0415

    configuration = Configuration()
    try:
        if kubeconfig is None and context is None and _in_cluster():
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            name = None if kubeconfig is None else str(kubeconfig)
            await config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=name, context=context, client_configuration=configuration
            )
    except (config.ConfigException, OSError, ValueError) as err:
        raise BadConfig(file=str(kubeconfig or "kubeconfig"), problem=str(err)) from err
    ssl = RESTClientObject(configuration).ssl_context
    connector = aiohttp.TCPConnector(limit=_CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=True) as session:
        yield ApiServer(session, configuration, ssl)


def _in_cluster() -> bool:
    from os import environ  # noqa: PLC0415 - beside the only reader

    return bool(environ.get("KUBERNETES_SERVICE_HOST"))


def _worth_retrying(err: ApiFailed) -> bool:
    return err.status is None or err.status in _BUSY


async def _content(response: aiohttp.ClientResponse, method: str, path: str) -> bytes:
    content = await response.read()
    if response.status >= 300:  # noqa: PLR2004 - HTTP
        raise _failed(method, path, response.status, content)
    return content


def _failed(method: str, path: str, status: int, content: bytes) -> ApiFailed:
    try:
        answer = json.loads(content)
        message = str(answer.get("message") or answer)
    except (ValueError, AttributeError):
        message = content[:200].decode(errors="replace").strip()
    return ApiFailed(call=f"{method} {path}", status=status, problem=message)


async def pause() -> None:
    """Let other work on the loop go first."""
    await asyncio.sleep(0)
