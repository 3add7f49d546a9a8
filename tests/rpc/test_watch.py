"""A watcher sees the present state, then every change, or learns that it was too slow."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import grpc
import pytest
from tests.rpc.loop import in_loop
from tests.rpc.world import Clock, acme_book, acme_registry, engine, explicit_node, holding, pod

from hami_core.rpc.fit.v1 import fit_pb2, fit_pb2_grpc
from hami_core.rpc.listen import UnixAddress
from hami_core.rpc.server import serving

Events: TypeAlias = "grpc.aio.UnaryStreamCall[fit_pb2.WatchRequest, fit_pb2.WatchResponse]"


async def drain(events: Events) -> None:
    while await events.read() is not grpc.aio.EOF:
        pass


def told(event: fit_pb2.WatchResponse) -> tuple[int, str, object]:
    """An event in short: number, key, state or cause."""
    match event.WhichOneof("event"):
        case "pod":
            return event.sequence, event.pod.key, fit_pb2.PodState.State.Name(event.pod.state)
        case "gone":
            return event.sequence, event.gone.key, fit_pb2.PodGone.Cause.Name(event.gone.cause)
    return event.sequence, "", "synced"


@in_loop
async def test_a_watcher_gets_the_present_state_then_every_change_numbered_without_a_gap(tmp_path: Path) -> None:
    async with engine(tmp_path) as stub:
        await stub.UpsertNode(explicit_node("a", cards=3))
        await stub.AddPod(holding("team-a/old", "a", "a-0"))
        await stub.Reserve(fit_pb2.ReserveRequest(pod=pod("first")))
        events = stub.Watch(fit_pb2.WatchRequest())
        opening = [told(await events.read()) for _ in range(3)]
        assert opening == [
            (2, "team-a/old", "STATE_PLACED"),
            (2, "team-a/first", "STATE_RESERVED"),
            (2, "", "synced"),
        ]
        await stub.Confirm(fit_pb2.ConfirmRequest(key="team-a/first"))
        await stub.RemovePod(fit_pb2.RemovePodRequest(key="team-a/old"))
        await stub.Reserve(fit_pb2.ReserveRequest(pod=pod("second")))
        await stub.Release(fit_pb2.ReleaseRequest(key="team-a/second"))
        assert [told(await events.read()) for _ in range(4)] == [
            (3, "team-a/first", "STATE_PLACED"),
            (4, "team-a/old", "CAUSE_REMOVED"),
            (5, "team-a/second", "STATE_RESERVED"),
            (6, "team-a/second", "CAUSE_RELEASED"),
        ]
        events.cancel()


@in_loop
async def test_the_time_left_of_a_reservation_is_told_and_a_placement_has_none(tmp_path: Path) -> None:
    clock = Clock()
    async with engine(tmp_path, clock) as stub:
        await stub.UpsertNode(explicit_node("a", cards=2))
        await stub.AddPod(holding("team-a/old", "a", "a-0"))
        await stub.Reserve(fit_pb2.ReserveRequest(pod=pod("first"), hold_s=30))
        clock.now_s += 10
        events = stub.Watch(fit_pb2.WatchRequest())
        old, first = (await events.read()).pod, (await events.read()).pod
        assert (old.key, old.HasField("hold_s")) == ("team-a/old", False)
        assert (first.key, first.hold_s) == ("team-a/first", 20.0)
        events.cancel()


@in_loop
async def test_a_watcher_hears_of_a_deadline_without_anyone_asking(tmp_path: Path) -> None:
    async with engine(tmp_path) as stub:
        await stub.UpsertNode(explicit_node("a"))
        events = stub.Watch(fit_pb2.WatchRequest())
        assert told(await events.read()) == (0, "", "synced")
        await stub.Reserve(fit_pb2.ReserveRequest(pod=pod("slow"), hold_s=0.05))
        assert told(await events.read()) == (1, "team-a/slow", "STATE_RESERVED")
        assert told(await events.read()) == (2, "team-a/slow", "CAUSE_EXPIRED")
        events.cancel()


@in_loop
async def test_a_server_tells_its_life_apart_from_an_earlier_one(tmp_path: Path) -> None:
    ids = []
    for _ in range(2):
        async with engine(tmp_path) as stub:
            for _ in range(2):
                events = stub.Watch(fit_pb2.WatchRequest())
                ids.append((await events.read()).synced.server_id)
                events.cancel()
    assert ids[0] == ids[1] != ids[2] == ids[3]


@in_loop
async def test_a_watcher_that_does_not_read_is_dropped_with_a_clear_status_and_nobody_waits_for_it(
    tmp_path: Path,
) -> None:
    async with engine(tmp_path, watch_limit=4) as stub:
        events = stub.Watch(fit_pb2.WatchRequest())
        await events.read()
        # The transport buffers for a reader: only what is larger than that shows who does not read.
        big = holding("team-a/big", "a", "x" * 200_000)
        for _ in range(40):
            await stub.AddPod(big)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await drain(events)
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "watch again" in str(caught.value.details())
        again = stub.Watch(fit_pb2.WatchRequest())
        assert told(await again.read()) == (40, "team-a/big", "STATE_PLACED")
        again.cancel()


@in_loop
async def test_watchers_are_told_when_the_server_ends(tmp_path: Path) -> None:
    registry = acme_registry()
    address = UnixAddress(path=tmp_path / "fit.sock")
    async with grpc.aio.insecure_channel(str(address)) as channel:
        async with serving(registry, address, book=acme_book(registry)):
            events = fit_pb2_grpc.FitServiceStub(channel).Watch(fit_pb2.WatchRequest())
            assert told(await events.read()) == (0, "", "synced")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await events.read()
    assert (caught.value.code(), caught.value.details()) == (
        grpc.StatusCode.UNAVAILABLE,
        "the server is shutting down",
    )
