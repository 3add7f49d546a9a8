"""A small cluster of an invented vendor, and a server for it."""

from __future__ import annotations

import json
import types
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import grpc

from hami_core.family import Family, Resources, Units, WireNames
from hami_core.fit import Fleet
from hami_core.hookspecs import hookimpl
from hami_core.registry import Registry, load_registry
from hami_core.rpc.book import Book
from hami_core.rpc.fit.v1 import fit_pb2, fit_pb2_grpc
from hami_core.rpc.listen import UnixAddress
from hami_core.rpc.server import serving
from hami_core.score import builtin

ACME = Family(
    name="ACME",
    vendor="acme",
    resources=Resources(count="acme.com/npu", memory="acme.com/npu-memory", cores="acme.com/npu-cores"),
    units=Units(default_count=1),
    wire=WireNames(register="acme.com/register", allocated="acme.com/allocated"),
)
CARD_MIB = 1000
SOCKET = "fit.sock"


def acme_registry() -> Registry:
    def hami_families(config: object) -> Iterable[Family]:
        return (ACME,)

    plugin = types.ModuleType("acme")
    plugin.hami_families = hookimpl(hami_families)  # type: ignore[attr-defined]
    return load_registry(plugins=[plugin, builtin])


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def acme_book(registry: Registry, clock: Clock | None = None, *, watch_limit: int = 100) -> Book:
    fleet = Fleet(registry)
    return Book(fleet, watch_limit=watch_limit) if clock is None else Book(fleet, clock=clock, watch_limit=watch_limit)


@asynccontextmanager
async def engine(
    folder: Path, clock: Clock | None = None, *, watch_limit: int = 100
) -> AsyncIterator[fit_pb2_grpc.FitServiceAsyncStub]:
    """A server on a socket in `folder`, and a client of it."""
    registry = acme_registry()
    book = acme_book(registry, clock, watch_limit=watch_limit)
    async with serving(registry, UnixAddress(path=folder / SOCKET), book=book), client(folder) as stub:
        yield stub


@asynccontextmanager
async def client(folder: Path) -> AsyncIterator[fit_pb2_grpc.FitServiceAsyncStub]:
    """A client with a connection of its own; gRPC would share one among the channels of a process."""
    alone = (("grpc.use_local_subchannel_pool", 1),)
    async with grpc.aio.insecure_channel(f"unix:{folder / SOCKET}", options=alone) as channel:
        yield fit_pb2_grpc.FitServiceStub(channel)


def explicit_node(name: str, cards: int = 1) -> fit_pb2.UpsertNodeRequest:
    devices = [
        fit_pb2.Device(uuid=f"{name}-{at}", family="ACME", model="acme-big", index=at, memory_mib=CARD_MIB, slots=4)
        for at in range(cards)
    ]
    return fit_pb2.UpsertNodeRequest(devices=fit_pb2.Node(name=name, devices=devices))


def kubernetes_node(name: str, register: str) -> fit_pb2.UpsertNodeRequest:
    item = {"kind": "Node", "metadata": {"name": name, "annotations": {"acme.com/register": register}}}
    return fit_pb2.UpsertNodeRequest(kubernetes_json=json.dumps(item).encode())


def pod(name: str, memory_mib: int = 600) -> fit_pb2.Pod:
    asked = fit_pb2.DeviceRequest(family="ACME", count=1, memory_mib=memory_mib)
    container = fit_pb2.ContainerRequest(name="main", devices=[asked])
    return fit_pb2.Pod(request=fit_pb2.PodRequest(namespace="team-a", name=name, containers=[container]))


def kubernetes_pod(
    name: str,
    limits: Mapping[str, str],
    annotations: Mapping[str, str] | None = None,
    *,
    phase: str = "Pending",
    scheduler: str = "",
) -> bytes:
    item = {
        "metadata": {"namespace": "team-a", "name": name, "annotations": dict(annotations or {})},
        "spec": {
            "schedulerName": scheduler,
            "containers": [{"name": "main", "resources": {"limits": dict(limits)}}],
        },
        "status": {"phase": phase},
    }
    return json.dumps(item).encode()


def holding(key: str, node: str, uuid: str, memory_mib: int = 600) -> fit_pb2.AddPodRequest:
    share = fit_pb2.DeviceShare(uuid=uuid, memory_mib=memory_mib)
    container = fit_pb2.ContainerShares(name="main", shares={"ACME": fit_pb2.DeviceShares(shares=[share])})
    placement = fit_pb2.Placement(node=node, containers=[container])
    return fit_pb2.AddPodRequest(holding=fit_pb2.Holding(key=key, placement=placement))


def only_share(placement: fit_pb2.Placement) -> fit_pb2.DeviceShare:
    (share,) = placement.containers[0].shares["ACME"].shares
    return share
