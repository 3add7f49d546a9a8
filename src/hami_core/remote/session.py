"""One call to a plugin's socket: a connection of its own, the handshake, the call, all on time.

A connection for each call costs a millisecond and needs no memory of the other side: an agent that was restarted is
found by the next call.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import TypeVar

import attrs
import grpc

from hami_core.errors import HamiError, PluginFault, shown
from hami_core.remote.description import Described, api_version, described
from hami_core.remote.places import Place, check_name, check_socket
from hami_core.remote.plugin.v1.plugin_pb2 import (
    AllocateRequest,
    AllocateResponse,
    DescribeRequest,
    Description,
    ProbeRequest,
    ProbeResponse,
    WatchRequest,
    WatchResponse,
)
from hami_core.remote.plugin.v1.plugin_pb2_grpc import PluginServiceStub

DESCRIBE_S = 2.0
PROBE_S = 15.0  # the child that probes is killed after 20 s, without a word of the cause
ALLOCATE_S = 10.0  # kubelet gives up on a device plugin after 30 s

_MOST_BYTES = 4 * 1024 * 1024
_OPTIONS = (
    ("grpc.max_receive_message_length", _MOST_BYTES),
    ("grpc.enable_http_proxy", 0),
    # What gRPC makes of a socket's path is no host name; servers in Go refuse it.
    ("grpc.default_authority", "localhost"),
    ("grpc.enable_retries", 0),
)
_CAUSE = 200  # characters of a status text that are shown

T = TypeVar("T")


class RemoteFailed(HamiError):
    """A call to a plugin's process that did not do what it should: no answer, an error, or nonsense."""

    def __init__(self, *, place: Place, call: str, problem: str) -> None:
        self.place = place
        self.call = call
        self.problem = problem
        super().__init__(place, call, problem)

    def __str__(self) -> str:
        return f"plugin {self.place.name} ({self.place.socket}): {self.call}: {self.problem}"


@attrs.frozen(kw_only=True)
class Session:
    """A plugin that answered the handshake. `message` is the description as it came, `described` as it was checked."""

    place: Place
    message: Description
    described: Described
    _stub: PluginServiceStub = attrs.field(repr=False)

    def probe(self) -> ProbeResponse:
        """Raises RemoteFailed."""
        return self._call("Probe", PROBE_S, lambda: self._stub.Probe(ProbeRequest(), timeout=PROBE_S))

    def allocate(self, request: AllocateRequest) -> AllocateResponse:
        """Raises RemoteFailed."""
        return self._call("Allocate", ALLOCATE_S, lambda: self._stub.Allocate(request, timeout=ALLOCATE_S))

    def watch(self) -> Iterator[WatchResponse]:
        """What comes, until the plugin ends it. Raises RemoteFailed where it breaks off."""
        try:
            yield from self._stub.Watch(WatchRequest())
        except grpc.RpcError as err:
            raise _failed(self.place, "Watch", None, err) from None

    def _call(self, name: str, timeout_s: float, call: Callable[[], T]) -> T:
        return _called(self.place, name, timeout_s, call)


@contextlib.contextmanager
def session(place: Place) -> Iterator[Session]:
    """Connect to a plugin and greet it.

    Raises:
        PluginFault: the socket cannot be trusted or is not there, the plugin speaks another version of the contract, or
            its description is malformed.
        RemoteFailed: it does not answer.
    """
    check_name(place)
    check_socket(place)
    with grpc.insecure_channel(f"unix:{place.socket}", options=_OPTIONS) as channel:
        stub = PluginServiceStub(channel)
        request = DescribeRequest(api=api_version(), agent=_agent())
        answer = _called(place, "Describe", DESCRIBE_S, lambda: stub.Describe(request, timeout=DESCRIBE_S))
        checked = described(answer.description, place, where=str(place.socket))
        yield Session(place=place, message=answer.description, described=checked, stub=stub)


def _called(place: Place, name: str, timeout_s: float, call: Callable[[], T]) -> T:
    try:
        return call()
    except grpc.RpcError as err:
        raise _failed(place, name, timeout_s, err) from None


def _failed(place: Place, name: str, timeout_s: float | None, err: grpc.RpcError) -> HamiError:
    code = err.code() if isinstance(err, grpc.Call) else grpc.StatusCode.UNKNOWN
    text = shown((err.details() if isinstance(err, grpc.Call) else "") or "", _CAUSE)
    match code:
        case grpc.StatusCode.DEADLINE_EXCEEDED if timeout_s is not None:
            problem = f"no answer within {timeout_s:g} s"
        case grpc.StatusCode.UNAVAILABLE:
            problem = f"nobody answers; is the vendor's agent running? ({text})"
        case grpc.StatusCode.UNIMPLEMENTED if name == "Describe":
            problem = "what listens there does not serve hami.plugin.v1.PluginService, so it speaks another version"
            return PluginFault(plugin=place.name, problem=f"{place.socket}: {problem}; this is major version 1")
        case _:
            problem = f"{code.name}: {text}"
    return RemoteFailed(place=place, call=name, problem=problem)


def _agent() -> str:
    try:
        return f"hami {version('hami-core')}"
    except PackageNotFoundError:
        return "hami"
