"""The calls of `hami.fit.v1.FitService`: decode, ask the book, encode."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence

import attrs
import grpc

from hami_core.errors import shown
from hami_core.fit import Fleet
from hami_core.inventory import NodeInventory, read_holding, read_inventory
from hami_core.model import Placement, PodRequest
from hami_core.objects import read_node, read_pod
from hami_core.placement import bind_annotations, placement_annotations
from hami_core.registry import Registry
from hami_core.rpc import decode, encode
from hami_core.rpc.book import Book, Change, Entry, Gone
from hami_core.rpc.feed import FellBehind
from hami_core.rpc.fit.v1 import fit_pb2, fit_pb2_grpc
from hami_core.rpc.status import Context, abort, answers

SERVICE = fit_pb2.DESCRIPTOR.services_by_name["FitService"].full_name

_CAUSES = {
    Gone.REMOVED: fit_pb2.PodGone.CAUSE_REMOVED,
    Gone.RELEASED: fit_pb2.PodGone.CAUSE_RELEASED,
    Gone.EXPIRED: fit_pb2.PodGone.CAUSE_EXPIRED,
}


class FitService(fit_pb2_grpc.FitServiceServicer):
    """Answers on one event loop. Decisions run on it too: they take about a millisecond, and each is one step.

    Args:
        registry: the families, for objects that come as Kubernetes JSON.
        book: the state.
    """

    def __init__(self, registry: Registry, book: Book) -> None:
        self._registry = registry
        self._book = book
        self._server_id = uuid.uuid4().hex
        self._reserved = asyncio.Event()

    @answers
    async def UpsertNode(self, request: fit_pb2.UpsertNodeRequest) -> fit_pb2.UpsertNodeResponse:
        """State what devices a node has."""
        if decode.which(request, "node", "UpsertNode") == "devices":
            stated = decode.explicit_node(request.devices)
            found = attrs.evolve(stated, broken=self._unserved(stated))
        else:
            facts = read_node(decode.kubernetes_object(request.kubernetes_json, "Node"))
            found = read_inventory(facts, self._registry)
        self._book.upsert_node(found)
        broken = [fit_pb2.BrokenFamily(family=name, problem=text) for name, text in sorted(found.broken.items())]
        return fit_pb2.UpsertNodeResponse(node=found.node.name, cards=len(found.devices), broken=broken)

    @answers
    async def RemoveNode(self, request: fit_pb2.RemoveNodeRequest) -> fit_pb2.RemoveNodeResponse:
        """Forget a node."""
        self._book.remove_node(decode.required(request, "node", "RemoveNode"))
        return fit_pb2.RemoveNodeResponse()

    @answers
    async def AddPod(self, request: fit_pb2.AddPodRequest) -> fit_pb2.AddPodResponse:
        """State what a pod holds."""
        if decode.which(request, "pod", "AddPod") == "holding":
            stated = request.holding
            key = decode.required(stated, "key", "AddPod")
            placement = decode.placement(stated.placement, f"pod {shown(key)}")
            unknown = self._book.add_pod(key, placement, init_done=stated.init_done, label=stated.label or key)
            return fit_pb2.AddPodResponse(key=key, held=True, unknown_uuids=unknown)
        pod = read_pod(decode.kubernetes_object(request.kubernetes_json, "Pod"))
        found = read_holding(pod, self._registry)
        if found is not None:
            unknown = self._book.add_pod(found.key, found.placement, init_done=found.init_done, label=found.label)
            return fit_pb2.AddPodResponse(key=pod.key, held=True, unknown_uuids=unknown, problems=found.problems)
        if pod.finished:
            self._book.remove_pod(pod.key)
        return fit_pb2.AddPodResponse(key=pod.key, held=self._book.holds(pod.key))

    @answers
    async def RemovePod(self, request: fit_pb2.RemovePodRequest) -> fit_pb2.RemovePodResponse:
        """Free what a pod holds."""
        removed = self._book.remove_pod(decode.required(request, "key", "RemovePod"))
        return fit_pb2.RemovePodResponse(removed=removed)

    @answers
    async def SetQuota(self, request: fit_pb2.SetQuotaRequest) -> fit_pb2.SetQuotaResponse:
        """Set a namespace's quota."""
        self._book.set_quota(decode.required(request, "namespace", "SetQuota"), dict(request.limits))
        return fit_pb2.SetQuotaResponse()

    @answers
    async def Decide(self, request: fit_pb2.DecideRequest) -> fit_pb2.DecideResponse:
        """Say where a pod would go."""
        pod, nodes = self._pod(request.pod, "Decide"), decode.candidates(request)
        best = self._book.decide(pod, nodes).best
        response = fit_pb2.DecideResponse(best=None if best is None else encode.fits(best))
        response.verdicts.extend(await self._verdicts(pod, nodes, request.detail))
        return response

    @answers
    async def Reserve(self, request: fit_pb2.ReserveRequest) -> fit_pb2.ReserveResponse:
        """Decide and take the share."""
        pod, nodes, hold_s = self._pod(request.pod, "Reserve"), decode.candidates(request), decode.hold_s(request)
        held = self._book.reserve(pod, nodes, hold_s)
        response = fit_pb2.ReserveResponse()
        if held is not None:
            self._reserved.set()
            response.reservation.key = held.key
            response.reservation.placement.CopyFrom(encode.placement(held.best.placement))
            response.reservation.score = held.best.score
            if request.pod.HasField("kubernetes_json"):
                response.reservation.annotations.update(self._annotations(pod, held.best.placement))
        response.verdicts.extend(await self._verdicts(pod, nodes, request.detail))
        if held is not None:
            response.reservation.hold_s = max(0.0, held.deadline_s - self._book.clock())
        return response

    @answers
    async def Confirm(self, request: fit_pb2.ConfirmRequest) -> fit_pb2.ConfirmResponse:
        """Make a reservation a placement."""
        self._book.confirm(decode.required(request, "key", "Confirm"))
        return fit_pb2.ConfirmResponse()

    @answers
    async def Release(self, request: fit_pb2.ReleaseRequest) -> fit_pb2.ReleaseResponse:
        """Give a reservation back."""
        return fit_pb2.ReleaseResponse(released=self._book.release(decode.required(request, "key", "Release")))

    async def Watch(self, _request: fit_pb2.WatchRequest, context: Context) -> AsyncIterator[fit_pb2.WatchResponse]:
        """Stream what pods hold, and how it changes."""
        with self._book.watch() as (present, sequence, subscription):
            for change in present:
                yield self._event(change)
            yield fit_pb2.WatchResponse(sequence=sequence, synced=fit_pb2.Synced(server_id=self._server_id))
            try:
                async for change in subscription.items():
                    yield self._event(change)
            except FellBehind as err:
                await abort(context, err, grpc.StatusCode.RESOURCE_EXHAUSTED)
        await context.abort(grpc.StatusCode.UNAVAILABLE, "the server is shutting down")

    async def expire_when_due(self) -> None:
        """Give back what is past its deadline as it passes, so that watchers hear of it. Runs until cancelled."""
        while True:
            self._reserved.clear()
            self._book.expire()
            due_s = self._book.next_deadline_s
            wait_s = None if due_s is None else max(0.0, due_s - self._book.clock())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._reserved.wait()

    async def _verdicts(
        self, pod: PodRequest, nodes: Sequence[str] | None, detail: int
    ) -> Sequence[fit_pb2.NodeVerdict]:
        """The verdict for every candidate, of the state as it is now without what the pod itself holds.

        Judging every node takes most of a second in a large fleet, so a thread does it, on a copy.
        """
        if detail not in (fit_pb2.DETAIL_NODES, fit_pb2.DETAIL_CARDS):
            return ()
        fleet = self._book.fleet.snapshot()
        return await asyncio.to_thread(_judged, fleet, pod, nodes, cards=detail == fit_pb2.DETAIL_CARDS)

    def _annotations(self, pod: PodRequest, placement: Placement) -> Mapping[str, str]:
        """What a bind writes on the pod. Where that cannot be worked out, the share is given back."""
        devices = {use.device.uuid: use.device for use in self._book.fleet.uses(placement.node)}
        now_ns = time.time_ns()
        try:
            placed = placement_annotations(placement, pod, self._registry, devices, now_ns=now_ns)
        except Exception:
            self._book.release(pod.key)
            raise
        return {**placed, **bind_annotations(now_ns)}

    def _unserved(self, found: NodeInventory) -> Mapping[str, str]:
        """Families of explicit devices that no plugin serves: said at once, not when the first pod is refused."""
        problem = f"no loaded plugin serves it; known: {', '.join(self._registry.families)}"
        return {card.family: problem for card in found.devices if card.family not in self._registry.families}

    def _pod(self, message: fit_pb2.Pod, where: str) -> PodRequest:
        if decode.which(message, "form", where) == "request":
            return decode.pod_request(message.request)
        return decode.kubernetes_request(message.kubernetes_json, self._registry)

    def _event(self, change: Change) -> fit_pb2.WatchResponse:
        if isinstance(change.now, Gone):
            gone = fit_pb2.PodGone(key=change.key, cause=_CAUSES[change.now])
            return fit_pb2.WatchResponse(sequence=change.sequence, gone=gone)
        return fit_pb2.WatchResponse(sequence=change.sequence, pod=self._state(change.key, change.now))

    def _state(self, key: str, entry: Entry) -> fit_pb2.PodState:
        state = fit_pb2.PodState(key=key, placement=encode.placement(entry.placement))
        if entry.deadline_s is None:
            state.state = fit_pb2.PodState.STATE_PLACED
        else:
            state.state = fit_pb2.PodState.STATE_RESERVED
            state.hold_s = max(0.0, entry.deadline_s - self._book.clock())
        return state


def _judged(
    fleet: Fleet, pod: PodRequest, nodes: Sequence[str] | None, *, cards: bool
) -> Sequence[fit_pb2.NodeVerdict]:
    verdicts = fleet.decide(pod, nodes).verdicts()
    return [encode.verdict(node, verdict, cards=cards) for node, verdict in verdicts.items()]
