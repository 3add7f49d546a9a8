"""The service as a client sees it, over a real socket."""

from __future__ import annotations

import asyncio
import threading
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeAlias

import grpc
import pytest
from tests.rpc.loop import in_loop
from tests.rpc.world import (
    Clock,
    client,
    engine,
    explicit_node,
    holding,
    kubernetes_node,
    kubernetes_pod,
    only_share,
    pod,
)

from hami_core.rpc import service
from hami_core.rpc.fit.v1 import fit_pb2, fit_pb2_grpc

Stub: TypeAlias = "fit_pb2_grpc.FitServiceAsyncStub"


async def reserve(stub: Stub, name: str, memory_mib: int = 600, hold_s: float = 60.0) -> fit_pb2.ReserveResponse:
    return await stub.Reserve(fit_pb2.ReserveRequest(pod=pod(name, memory_mib), hold_s=hold_s))


async def decide(stub: Stub, name: str, detail: fit_pb2.Detail.ValueType = fit_pb2.DETAIL_NODES, **more: object):
    return await stub.Decide(fit_pb2.DecideRequest(pod=pod(name), detail=detail, **more))  # type: ignore[arg-type]


async def refusal(call: object) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call  # type: ignore[misc]
    return caught.value


def cause(error: grpc.aio.AioRpcError) -> str | bytes | None:
    return error.trailing_metadata().get("hami-error")


@in_loop
async def test_a_pod_goes_where_it_fits_and_the_reasons_of_the_other_nodes_are_there_for_the_asking(
    tmp_path: Path,
) -> None:
    async with engine(tmp_path) as stub:
        for name in ("a", "b"):
            await stub.UpsertNode(explicit_node(name))
        await stub.AddPod(holding("team-a/old", "a", "a-0"))
        brief = await decide(stub, "p", fit_pb2.DETAIL_BEST)
        assert (brief.best.placement.node, len(brief.verdicts)) == ("b", 0)
        nodes = await decide(stub, "p")
        assert [(v.node, v.WhichOneof("verdict")) for v in nodes.verdicts] == [("a", "rejected"), ("b", "fits")]
        rejected = nodes.verdicts[0]
        assert rejected.text == "1/1 CardInsufficientMemory"
        assert [(t.reason, t.cards) for t in rejected.rejected.tally] == [("CardInsufficientMemory", 1)]
        assert (rejected.rejected.total_cards, rejected.rejected.curable) == (1, True)
        assert len(rejected.rejected.cards) == 0
        cards = (await decide(stub, "p", fit_pb2.DETAIL_CARDS)).verdicts[0].rejected.cards
        assert [(card.uuid, card.reason) for card in cards] == [("a-0", "CardInsufficientMemory")]


@in_loop
async def test_candidates_narrow_the_choice_and_an_empty_list_of_them_leaves_none(tmp_path: Path) -> None:
    async with engine(tmp_path) as stub:
        for name in ("a", "b"):
            await stub.UpsertNode(explicit_node(name))
        only_b = await decide(stub, "p", candidates=fit_pb2.Candidates(nodes=["b"]))
        assert [v.node for v in only_b.verdicts] == ["b"]
        nowhere = await decide(stub, "p", candidates=fit_pb2.Candidates())
        assert not nowhere.HasField("best")
        assert len(nowhere.verdicts) == 0


@in_loop
async def test_what_is_reserved_counts_as_taken_until_it_is_given_back(tmp_path: Path) -> None:
    async with engine(tmp_path) as stub:
        await stub.UpsertNode(explicit_node("a"))
        first = await reserve(stub, "first")
        assert only_share(first.reservation.placement).uuid == "a-0"
        assert not (await reserve(stub, "second")).HasField("reservation")
        assert (await stub.Release(fit_pb2.ReleaseRequest(key="team-a/first"))).released
        assert not (await stub.Release(fit_pb2.ReleaseRequest(key="team-a/first"))).released
        assert (await reserve(stub, "second")).HasField("reservation")


@in_loop
async def test_a_confirmed_reservation_stays_past_its_deadline_and_release_does_not_touch_it(tmp_path: Path) -> None:
    clock = Clock()
    async with engine(tmp_path, clock) as stub:
        await stub.UpsertNode(explicit_node("a"))
        key = (await reserve(stub, "first", hold_s=10)).reservation.key
        for _ in range(2):
            await stub.Confirm(fit_pb2.ConfirmRequest(key=key))
        clock.now_s += 1000
        assert not (await stub.Release(fit_pb2.ReleaseRequest(key=key))).released
        assert not (await decide(stub, "second")).HasField("best")
        assert (await stub.RemovePod(fit_pb2.RemovePodRequest(key=key))).removed
        assert not (await stub.RemovePod(fit_pb2.RemovePodRequest(key=key))).removed
        assert (await decide(stub, "second")).HasField("best")


@in_loop
async def test_a_reservation_goes_by_itself_at_its_deadline_and_can_not_be_confirmed_after(tmp_path: Path) -> None:
    clock = Clock()
    async with engine(tmp_path, clock) as stub:
        await stub.UpsertNode(explicit_node("a"))
        key = (await reserve(stub, "first", hold_s=10)).reservation.key
        clock.now_s += 9.9
        assert not (await decide(stub, "second")).HasField("best")
        clock.now_s += 0.2
        error = await refusal(stub.Confirm(fit_pb2.ConfirmRequest(key=key)))
        assert (error.code(), cause(error)) == (grpc.StatusCode.NOT_FOUND, "UnknownName")
        assert 'no reservation named "team-a/first"' in str(error.details())
        assert (await decide(stub, "second")).HasField("best")


@in_loop
async def test_reserving_again_replaces_the_reservation_so_that_a_lost_answer_can_be_asked_for_again(
    tmp_path: Path,
) -> None:
    async with engine(tmp_path) as stub:
        await stub.UpsertNode(explicit_node("a"))
        once, twice = await reserve(stub, "p"), await reserve(stub, "p")
        assert once.reservation.placement == twice.reservation.placement
        await stub.RemoveNode(fit_pb2.RemoveNodeRequest(node="a"))
        assert not (await reserve(stub, "p")).HasField("reservation")
        assert not (await stub.Release(fit_pb2.ReleaseRequest(key="team-a/p"))).released


@in_loop
async def test_a_pod_that_is_placed_can_not_reserve_for_it_would_lose_its_place_at_the_deadline(tmp_path: Path) -> None:
    async with engine(tmp_path) as stub:
        await stub.UpsertNode(explicit_node("a", cards=4))
        await stub.AddPod(holding("team-a/stated", "a", "a-1"))
        await reserve(stub, "confirmed")
        await stub.Confirm(fit_pb2.ConfirmRequest(key="team-a/confirmed"))
        for name in ("stated", "confirmed"):
            error = await refusal(reserve(stub, name))
            assert (error.code(), cause(error)) == (grpc.StatusCode.ABORTED, "ReservationConflict")
            assert f"pod team-a/{name} is placed on node a already" in str(error.details())


@in_loop
async def test_of_many_clients_that_want_the_last_slots_as_many_get_one_as_there_are(tmp_path: Path) -> None:
    async with engine(tmp_path) as stub, AsyncExitStack() as stack:
        await stub.UpsertNode(explicit_node("a", cards=3))
        clients = [await stack.enter_async_context(client(tmp_path)) for _ in range(4)]
        for turn in range(20):
            replies = await asyncio.gather(*(reserve(clients[at % 4], f"pod-{turn}-{at}") for at in range(12)))
            won = [reply.reservation for reply in replies if reply.HasField("reservation")]
            assert sorted(only_share(r.placement).uuid for r in won) == ["a-0", "a-1", "a-2"]
            await asyncio.gather(*(stub.Release(fit_pb2.ReleaseRequest(key=r.key)) for r in won))


@in_loop
async def test_an_annotated_kubernetes_node_says_its_own_devices(tmp_path: Path) -> None:
    register = '[{"id": "K-0", "count": 4, "devmem": 1000, "devcore": 100, "type": "acme-big", "health": true}]'
    async with engine(tmp_path) as stub:
        reply = await stub.UpsertNode(kubernetes_node("k", register))
        assert (reply.node, reply.cards, len(reply.broken)) == ("k", 1, 0)
        limits = {"acme.com/npu": "1", "acme.com/npu-memory": "600"}
        ask = fit_pb2.Pod(kubernetes_json=kubernetes_pod("p", limits))
        decided = await stub.Decide(fit_pb2.DecideRequest(pod=ask))
        assert only_share(decided.best.placement) == fit_pb2.DeviceShare(uuid="K-0", memory_mib=600)


@in_loop
async def test_a_reserved_kubernetes_pod_comes_with_the_annotations_of_its_binding(
    tmp_path: Path,
) -> None:
    limits = {"acme.com/npu": "1", "acme.com/npu-memory": "600"}
    async with engine(tmp_path) as stub:
        await stub.UpsertNode(explicit_node("a"))
        ask = fit_pb2.Pod(kubernetes_json=kubernetes_pod("p", limits))
        held = (await stub.Reserve(fit_pb2.ReserveRequest(pod=ask))).reservation
        assert (held.annotations["hami.io/vgpu-node"], held.annotations["hami.io/bind-phase"]) == ("a", "allocating")
        assert held.annotations["acme.com/allocated"] == "a-0,ACME,600,0:;"
        bound = kubernetes_pod("p", limits, dict(held.annotations), phase="Running")
        await stub.AddPod(fit_pb2.AddPodRequest(kubernetes_json=bound))
        events = stub.Watch(fit_pb2.WatchRequest())
        state = (await events.read()).pod
        assert (state.key, state.placement) == ("team-a/p", held.placement)
        events.cancel()


@in_loop
async def test_a_place_that_no_annotation_can_say_is_given_back(tmp_path: Path) -> None:
    node = explicit_node("a")
    node.devices.devices[0].uuid = "odd,uuid"
    async with engine(tmp_path) as stub:
        await stub.UpsertNode(node)
        ask = fit_pb2.Pod(kubernetes_json=kubernetes_pod("p", {"acme.com/npu": "1"}))
        error = await refusal(stub.Reserve(fit_pb2.ReserveRequest(pod=ask)))
        assert (error.code(), cause(error)) == (grpc.StatusCode.INVALID_ARGUMENT, "BadWire")
        assert (await decide(stub, "q")).HasField("best")


@in_loop
async def test_devices_of_a_family_that_nobody_serves_are_reported_when_they_are_stated(tmp_path: Path) -> None:
    node = explicit_node("a", cards=2)
    node.devices.devices[1].family = "OTHER"
    async with engine(tmp_path) as stub:
        (broken,) = (await stub.UpsertNode(node)).broken
        assert (broken.family, broken.problem) == ("OTHER", "no loaded plugin serves it; known: ACME")
        assert only_share((await decide(stub, "p")).best.placement).uuid == "a-0"


@in_loop
async def test_a_malformed_register_breaks_its_family_on_its_node_and_says_so(tmp_path: Path) -> None:
    async with engine(tmp_path) as stub:
        await stub.UpsertNode(explicit_node("good"))
        reply = await stub.UpsertNode(kubernetes_node("bad", '[{"id": "K-0", "devmem": "much"}]'))
        (broken,) = reply.broken
        assert (reply.cards, broken.family) == (0, "ACME")
        assert "devmem" in broken.problem
        decided = await decide(stub, "p")
        assert [(v.node, v.WhichOneof("verdict")) for v in decided.verdicts] == [("bad", "broken"), ("good", "fits")]
        assert "devmem" in decided.verdicts[0].broken.problem


@in_loop
async def test_a_kubernetes_pod_is_completed_as_the_webhook_does_whatever_scheduler_it_names(tmp_path: Path) -> None:
    only_memory = {"acme.com/npu-memory": "600"}
    async with engine(tmp_path) as stub:
        await stub.UpsertNode(explicit_node("a"))
        ask = fit_pb2.Pod(kubernetes_json=kubernetes_pod("p", only_memory, scheduler="ours"))
        decided = await stub.Decide(fit_pb2.DecideRequest(pod=ask))
        assert only_share(decided.best.placement) == fit_pb2.DeviceShare(uuid="a-0", memory_mib=600)


@in_loop
async def test_verdicts_are_of_one_moment_and_nobody_waits_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    judged = service._judged

    def slowly(*args: Any, **kwargs: Any) -> Any:
        begun.set()
        assert go_on.wait(60)
        return judged(*args, **kwargs)

    monkeypatch.setattr(service, "_judged", slowly)
    async with engine(tmp_path) as stub:
        await stub.UpsertNode(explicit_node("a"))
        asking = asyncio.ensure_future(decide(stub, "p"))
        await asyncio.to_thread(begun.wait, 60)
        await stub.AddPod(holding("team-a/later", "a", "a-0"))
        await stub.RemoveNode(fit_pb2.RemoveNodeRequest(node="a"))
        go_on.set()
        assert [(v.node, v.WhichOneof("verdict")) for v in (await asking).verdicts] == [("a", "fits")]


@in_loop
async def test_an_annotated_kubernetes_pod_holds_what_its_annotations_say_until_it_ends(tmp_path: Path) -> None:
    annotations = {"hami.io/vgpu-node": "a", "acme.com/allocated": "a-0,ACME,600,0:;"}
    limits = {"acme.com/npu": "1"}
    async with engine(tmp_path) as stub:
        await stub.UpsertNode(explicit_node("a"))
        running = kubernetes_pod("old", limits, annotations, phase="Running")
        reply = await stub.AddPod(fit_pb2.AddPodRequest(kubernetes_json=running))
        assert (reply.key, reply.held, list(reply.unknown_uuids), list(reply.problems)) == ("team-a/old", True, [], [])
        assert not (await decide(stub, "p")).HasField("best")
        ended = kubernetes_pod("old", limits, annotations, phase="Succeeded")
        assert not (await stub.AddPod(fit_pb2.AddPodRequest(kubernetes_json=ended))).held
        assert (await decide(stub, "p")).HasField("best")


@in_loop
async def test_a_pod_that_is_not_placed_yet_leaves_its_reservation_alone(tmp_path: Path) -> None:
    async with engine(tmp_path) as stub:
        await stub.UpsertNode(explicit_node("a"))
        await reserve(stub, "p")
        pending = fit_pb2.AddPodRequest(kubernetes_json=kubernetes_pod("p", {"acme.com/npu": "1"}))
        assert (await stub.AddPod(pending)).held
        assert not (await decide(stub, "q")).HasField("best")


@in_loop
async def test_a_pod_seen_placed_settles_its_reservation(tmp_path: Path) -> None:
    clock = Clock()
    async with engine(tmp_path, clock) as stub:
        await stub.UpsertNode(explicit_node("a", cards=2))
        await reserve(stub, "p", hold_s=10)
        await stub.AddPod(holding("team-a/p", "a", "a-0"))
        clock.now_s += 100
        decided = await decide(stub, "q")
        assert only_share(decided.best.placement).uuid == "a-1"
        assert not (await decide(stub, "r", candidates=fit_pb2.Candidates())).HasField("best")
        assert (await stub.RemovePod(fit_pb2.RemovePodRequest(key="team-a/p"))).removed


@in_loop
async def test_a_pod_on_cards_that_nobody_knows_is_kept_and_reported(tmp_path: Path) -> None:
    async with engine(tmp_path) as stub:
        reply = await stub.AddPod(holding("team-a/early", "late", "late-0"))
        assert (reply.held, list(reply.unknown_uuids)) == (True, ["late-0"])
        await stub.UpsertNode(explicit_node("late"))
        assert not (await decide(stub, "p")).HasField("best")
        assert (await stub.RemovePod(fit_pb2.RemovePodRequest(key="team-a/early"))).removed
        assert (await decide(stub, "p")).HasField("best")


@in_loop
async def test_a_removed_node_takes_no_pods_and_has_its_holdings_when_it_comes_back(tmp_path: Path) -> None:
    async with engine(tmp_path) as stub:
        await stub.UpsertNode(explicit_node("a"))
        await stub.AddPod(holding("team-a/old", "a", "a-0"))
        await stub.RemoveNode(fit_pb2.RemoveNodeRequest(node="a"))
        assert not (await decide(stub, "p")).HasField("best")
        await stub.UpsertNode(explicit_node("a"))
        assert (await decide(stub, "p")).verdicts[0].text == "1/1 CardInsufficientMemory"


@in_loop
async def test_mistakes_are_refused_with_a_code_a_cause_and_the_place(tmp_path: Path) -> None:
    async with engine(tmp_path) as stub:
        await stub.UpsertNode(explicit_node("a"))
        bytes_as_memory = kubernetes_pod("p", {"acme.com/npu": "1", "acme.com/npu-memory": "16Gi"})
        mistakes = [
            (stub.UpsertNode(fit_pb2.UpsertNodeRequest()), "BadWire", "set kubernetes_json or devices"),
            (stub.UpsertNode(fit_pb2.UpsertNodeRequest(kubernetes_json=b"{")), "BadWire", "Node object: not JSON"),
            (stub.RemoveNode(fit_pb2.RemoveNodeRequest()), "BadWire", "RemoveNodeRequest.node is missing"),
            (stub.AddPod(fit_pb2.AddPodRequest()), "BadWire", "set kubernetes_json or holding"),
            (stub.RemovePod(fit_pb2.RemovePodRequest()), "BadWire", "RemovePodRequest.key is missing"),
            (stub.SetQuota(fit_pb2.SetQuotaRequest()), "BadWire", "SetQuotaRequest.namespace is missing"),
            (stub.Decide(fit_pb2.DecideRequest()), "BadWire", "set kubernetes_json or request"),
            (
                stub.Decide(fit_pb2.DecideRequest(pod=fit_pb2.Pod(kubernetes_json=bytes_as_memory))),
                "AdmissionRefused",
                "pod team-a/p, container main: acme.com/npu-memory must be a whole number of MiB, 0 or more",
            ),
            (stub.Reserve(fit_pb2.ReserveRequest(pod=pod("p"), hold_s=-1)), "BadQuantity", "ReserveRequest.hold_s"),
            (stub.Confirm(fit_pb2.ConfirmRequest()), "BadWire", "ConfirmRequest.key is missing"),
            (stub.Release(fit_pb2.ReleaseRequest()), "BadWire", "ReleaseRequest.key is missing"),
        ]
        for call, name, text in mistakes:
            error = await refusal(call)
            assert (error.code(), cause(error)) == (grpc.StatusCode.INVALID_ARGUMENT, name), error.details()
            assert text in str(error.details())


@in_loop
async def test_a_text_too_long_for_a_status_is_cut_and_the_code_arrives(tmp_path: Path) -> None:
    huge = kubernetes_pod("p" * 500_000, {"acme.com/npu": "none"})
    async with engine(tmp_path) as stub:
        error = await refusal(stub.Decide(fit_pb2.DecideRequest(pod=fit_pb2.Pod(kubernetes_json=huge))))
        assert (error.code(), cause(error)) == (grpc.StatusCode.INVALID_ARGUMENT, "AdmissionRefused")
        assert str(error.details()).startswith("pod team-a/ppp")


@in_loop
async def test_names_that_nothing_answers_to_are_not_found(tmp_path: Path) -> None:
    async with engine(tmp_path) as stub:
        calls = (
            (stub.RemoveNode(fit_pb2.RemoveNodeRequest(node="nowhere")), 'no node named "nowhere"'),
            (stub.Confirm(fit_pb2.ConfirmRequest(key="nobody")), 'no reservation named "nobody"'),
        )
        for call, text in calls:
            error = await refusal(call)
            assert (error.code(), cause(error)) == (grpc.StatusCode.NOT_FOUND, "UnknownName")
            assert text in str(error.details())


@in_loop
async def test_a_fault_of_ours_is_internal_logged_and_does_not_end_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_name: object) -> None:
        raise ZeroDivisionError("secret")

    async with engine(tmp_path) as stub:
        with monkeypatch.context() as patched:
            patched.setattr("hami_core.rpc.service.read_node", broken)
            error = await refusal(stub.UpsertNode(kubernetes_node("k", "[]")))
        assert (error.code(), error.details()) == (
            grpc.StatusCode.INTERNAL,
            "UpsertNode failed; the server's log has the cause",
        )
        assert "ZeroDivisionError: secret" in caplog.text
        await stub.UpsertNode(explicit_node("a"))
