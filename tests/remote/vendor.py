"""A vendor's agent for tests: a server whose answers a test sets."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import attrs
import grpc

from hami_core.remote.places import Place
from hami_core.remote.plugin.v1 import plugin_pb2 as pb
from hami_core.remote.plugin.v1.plugin_pb2_grpc import PluginServiceServicer, add_PluginServiceServicer_to_server

ALL = (pb.CAPABILITY_PROBE, pb.CAPABILITY_ALLOCATE, pb.CAPABILITY_WATCH)


def family(name: str = "BOREALIS", **changes: Any) -> pb.Family:
    fields: dict[str, Any] = {
        "resources": pb.Resources(count=f"borealis.test/{name.lower()}", memory="borealis.test/mib"),
        "wire": pb.WireNames(register="borealis.test/register", allocated="borealis.test/allocated"),
    }
    return pb.Family(name=name, **{**fields, **changes})


def description(**changes: Any) -> pb.Description:
    fields: dict[str, Any] = {
        "name": "borealis",
        "version": "1.2.0",
        "api": pb.ApiVersion(major=1, minor=0),
        "capabilities": ALL,
        "families": [family()],
    }
    return pb.Description(**{**fields, **changes})


def card(uuid: str = "b-0", **changes: Any) -> pb.Device:
    return pb.Device(**{"uuid": uuid, "model": "Borealis B1", "memory_mib": 32768, **changes})


@attrs.define
class Vendor(PluginServiceServicer):
    """Answers what it is told to; `hangs` names the calls that never return."""

    description: pb.Description = attrs.field(factory=description)
    probe: pb.ProbeResponse = attrs.field(factory=lambda: pb.ProbeResponse(driver="9.1", devices=[card()]))
    edits: pb.AllocateResponse = attrs.field(factory=lambda: pb.AllocateResponse(env={"SEES": "b-0"}))
    events: list[pb.WatchResponse] = attrs.field(factory=list)
    hangs: tuple[str, ...] = ()
    fails: str = ""
    asked: list[Any] = attrs.field(factory=list)
    _over: Event = attrs.field(factory=Event)

    def Describe(self, request: pb.DescribeRequest, context: grpc.ServicerContext) -> pb.DescribeResponse:  # noqa: N802 - gRPC's name
        self._come("Describe", request, context)
        return pb.DescribeResponse(description=self.description)

    def Probe(self, request: pb.ProbeRequest, context: grpc.ServicerContext) -> pb.ProbeResponse:  # noqa: N802 - gRPC's name
        self._come("Probe", request, context)
        return self.probe

    def Allocate(self, request: pb.AllocateRequest, context: grpc.ServicerContext) -> pb.AllocateResponse:  # noqa: N802 - gRPC's name
        self._come("Allocate", request, context)
        return self.edits

    def Watch(self, request: pb.WatchRequest, context: grpc.ServicerContext) -> Iterator[pb.WatchResponse]:  # noqa: N802 - gRPC's name
        self._come("Watch", request, context)
        yield from self.events
        self._over.wait()

    def _come(self, call: str, request: Any, context: grpc.ServicerContext) -> None:
        self.asked.append(request)
        if call in self.hangs:
            self._over.wait()
        if call == self.fails:
            context.abort(grpc.StatusCode.INTERNAL, "the card fell off the bus")

    def end(self) -> None:
        self._over.set()


@contextlib.contextmanager
def serving(vendor: Vendor, place: Place) -> Iterator[Vendor]:
    """The agent while the block runs; its socket is gone afterwards."""
    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    add_PluginServiceServicer_to_server(vendor, server)
    server.add_insecure_port(f"unix:{place.socket}")
    server.start()
    try:
        yield vendor
    finally:
        vendor.end()
        server.stop(None).wait()
        place.socket.unlink(missing_ok=True)


def folders(root: Path) -> dict[str, str]:
    """Folders for sockets and tables below `root`, as environment."""
    made = {"HAMI_PLUGIN_SOCKETS": root / "sockets", "HAMI_PLUGIN_TABLES": root / "tables"}
    for folder in made.values():
        folder.mkdir(mode=0o755)
    return {name: str(folder) for name, folder in made.items()}
