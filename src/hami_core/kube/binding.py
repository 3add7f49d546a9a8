"""Bind: the node lock where one is needed, then the pod's annotations and its binding; undone as a whole.

The API server copies a binding's annotations to the pod, since 1.35 its labels too (feature PodTopologyLabelsAdmission;
registry/core/pod/storage/storage.go). There the binding is the one write; older servers get a guarded patch before it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import attrs
import tenacity

from hami_core.errors import ApiFailed, BadWire, HamiError, ReservationConflict
from hami_core.kube.api import ApiServer, pod_path
from hami_core.kube.cache import Flight
from hami_core.kube.decisions import Decisions, new_decision
from hami_core.kube.filtering import AskedPod
from hami_core.kube.locks import ALLOCATION_S, Locks, NodeLocked, locks_needed
from hami_core.kube.records import decode_object
from hami_core.placement import NODE, bind_annotations, placement_annotations
from hami_core.wire.extender import BindArgs, BindResult

if TYPE_CHECKING:
    from hami_core.family import NodeLock
    from hami_core.kube.cache import Cache
    from hami_core.kube.settings import Settings

_CONFLICT = 409
_NOT_FOUND = 404
_TRIES = 5
_NOTHING: Mapping[str, object] = MappingProxyType({})
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", re.ASCII)
_log = logging.getLogger(__name__)


@attrs.define(kw_only=True)
class Waits:
    """How often and how long binds waited for locks, for the metrics."""

    count: int = 0
    seconds: float = 0.0


@attrs.define(kw_only=True)
class _Written:
    """What a bind has done so far, to be undone."""

    locks: list[tuple[NodeLock, str]] = attrs.field(factory=list)
    marks: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)  # keys of annotations and labels that were patched


class Binding:
    """Answers bind.

    Args:
        api: the server.
        cache: the cluster.
        decisions: who hears of the outcome.
        settings: how the process was set up.
        leading: whether this process may still write.
        at_once: whether the API server copies a binding's labels, so that everything can go into the binding.
    """

    def __init__(
        self,
        api: ApiServer,
        cache: Cache,
        decisions: Decisions,
        settings: Settings,
        *,
        leading: Callable[[], bool],
        at_once: Callable[[], bool],
    ) -> None:
        self.waits = Waits()
        self._api = api
        self._cache = cache
        self._decisions = decisions
        self._settings = settings
        self._leading = leading
        self._at_once = at_once
        self._locks = Locks(api, timeout_s=settings.lock_timeout_s)

    async def bind(self, args: BindArgs) -> BindResult:
        """Bind a pod; the answer says why where it could not be done, and nothing is left behind then."""
        began_s = time.perf_counter()
        where = f"pod {args.pod_namespace}/{args.pod_name}"
        try:
            flight = await self._flight(args)
        except HamiError as err:
            _log.warning("%s cannot be bound to node %s: %s", where, args.node, err)
            return BindResult(error=str(err))
        if flight is None:
            return await self._bind_only(args)
        if self._settings.dry_run:
            self._cache.land(flight.request.key)
            return BindResult(error=f"dry run: {where} would be bound to node {args.node}")
        problem = await self._carry_out(args, flight)
        if problem:
            self._decisions.failed(flight.request, flight.decision, args.node, problem)
            return BindResult(error=problem)
        self._decisions.bound(flight.request, flight.decision, args.node, time.perf_counter() - began_s)
        return BindResult()

    async def _flight(self, args: BindArgs) -> Flight | None:
        """The reservation to carry out, taken out of the reach of its deadline; None for a pod without devices.

        A reservation for another node, or none (this leader is new, or was too slow), is decided anew on that node.

        Raises:
            HamiError: the pod cannot go there, or is gone.
        """
        cache = self._cache
        key = args.pod_uid or f"{args.pod_namespace}/{args.pod_name}"
        flight = cache.flights.get(key)
        if flight is not None and flight.deadline_s is None:
            raise ReservationConflict(f"pod {args.pod_namespace}/{args.pod_name} is being bound already")
        if flight is None or flight.placement.node != args.node:
            pod = await self._pod(args)
            request = pod.request(cache, self._settings)
            if not request.families:
                return None
            if pod.facts.node_name:
                raise ReservationConflict(f"{pod.facts.where} is bound to node {pod.facts.node_name} already")
            choice, reservation = cache.fleet.reserve(
                request, [args.node], now_s=cache.clock(), hold_s=self._settings.hold_s
            )
            if reservation is None:
                cache.land(request.key)
                raise ReservationConflict(
                    f"{pod.facts.where} fits node {args.node} no more: {choice.verdict(args.node)}"
                )
            flight = Flight(
                request=request,
                decision=new_decision(),
                placement=reservation.best.placement,
                resource_version=pod.resource_version,
                gang=pod.gang,
            )
        cache.fleet.confirm(flight.request.key)
        flight.deadline_s = None
        cache.flights[flight.request.key] = flight
        return flight

    async def _pod(self, args: BindArgs) -> AskedPod:
        pod = AskedPod.of(decode_object(await self._api.get(pod_path(args.pod_namespace, args.pod_name))))
        if args.pod_uid and pod.facts.uid != args.pod_uid:
            raise ReservationConflict(f"{pod.facts.where} is another pod of the same name now")
        return pod

    async def _carry_out(self, args: BindArgs, flight: Flight) -> str:
        """Write everything; on a failure undo everything and say why."""
        done = _Written()
        try:
            async with asyncio.timeout(self._settings.bind_deadline_s):
                await self._lock(args, flight, done)
                await self._write(args, flight, done)
        except TimeoutError:
            problem = f"not bound within {self._settings.bind_deadline_s:g} s"
        except HamiError as err:
            problem = str(err)
        except asyncio.CancelledError:
            await asyncio.shield(self._undo(args, flight, done))
            raise
        else:
            flight.bound = True
            return ""
        if await self._undo(args, flight, done):
            flight.bound = True
            return ""
        return problem

    async def _lock(self, args: BindArgs, flight: Flight, done: _Written) -> None:
        inventory = self._cache.inventories.get(args.node)
        needed = locks_needed(flight.request, self._cache.registry, None if inventory is None else inventory.node)
        if not needed:
            return
        patience_s = self._settings.lock_retry_s if flight.gang else ALLOCATION_S
        began_s = time.perf_counter()
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(NodeLocked),
            stop=tenacity.stop_after_delay(patience_s),
            wait=tenacity.wait_random(0.05, 0.2),
            reraise=True,
        )
        try:
            for lock in needed:
                value: str | None = await retrying(self._locks.take, args.node, lock, args.pod_namespace, args.pod_name)
                if value is not None:
                    done.locks.append((lock, value))
        finally:
            self.waits.count += 1
            self.waits.seconds += time.perf_counter() - began_s

    async def _write(self, args: BindArgs, flight: Flight, done: _Written) -> None:
        """Annotations and binding; the server refuses both if the pod is not the one that was decided upon."""
        at_once = self._at_once()
        written = self._marks(args, flight)
        for last in (False, True):
            if not self._leading():
                raise ReservationConflict("this process leads no more; the new leader binds")
            metadata: dict[str, object] = {**written, "resourceVersion": flight.resource_version}
            try:
                if at_once:
                    await self._create_binding(args, metadata)
                else:
                    await self._annotate(args, flight, metadata, done)
            except ApiFailed as err:
                if err.status != _CONFLICT or last:
                    raise
                flight.resource_version = await self._unchanged(args, flight)
            else:
                break
        if not at_once:
            await self._create_binding(args)

    def _marks(self, args: BindArgs, flight: Flight) -> dict[str, dict[str, str]]:
        """The annotations, and the label where a label can carry the node's name."""
        now_ns = time.time_ns()
        devices = self._cache.devices(args.node)
        annotations = placement_annotations(
            flight.placement, flight.request, self._cache.registry, devices, now_ns=now_ns
        )
        marks = {"annotations": annotations | bind_annotations(now_ns)}
        return marks | {"labels": {NODE: args.node}} if _LABEL.fullmatch(args.node) else marks

    async def _annotate(self, args: BindArgs, flight: Flight, metadata: dict[str, object], done: _Written) -> None:
        if flight.request.uid:
            metadata["uid"] = flight.request.uid
        # Before the call: a patch whose answer is lost may have been applied.
        done.marks = {part: tuple(values) for part, values in metadata.items() if isinstance(values, dict)}
        await self._api.patch(pod_path(args.pod_namespace, args.pod_name), {"metadata": metadata})

    async def _unchanged(self, args: BindArgs, flight: Flight) -> str:
        """The version of a pod that was written meanwhile, by others than a binder, and still asks for the same."""
        pod = await self._pod(args)
        if pod.facts.node_name:
            raise ReservationConflict(f"{pod.facts.where} is bound to node {pod.facts.node_name} already")
        if pod.request(self._cache, self._settings).containers != flight.request.containers:
            raise ReservationConflict(f"{pod.facts.where} asks for something else now")
        return pod.resource_version

    async def _create_binding(self, args: BindArgs, more: Mapping[str, object] = _NOTHING) -> None:
        metadata = {**more, "name": args.pod_name, "namespace": args.pod_namespace}
        if args.pod_uid:
            metadata["uid"] = args.pod_uid
        await self._api.post(
            pod_path(args.pod_namespace, args.pod_name, "binding"),
            {
                "apiVersion": "v1",
                "kind": "Binding",
                "metadata": metadata,
                "target": {"apiVersion": "v1", "kind": "Node", "name": args.node},
            },
        )

    async def _bind_only(self, args: BindArgs) -> BindResult:
        """Bind a pod that asks for no device of ours."""
        if self._settings.dry_run:
            return BindResult(error=f"dry run: {args.pod_namespace}/{args.pod_name} would be bound to node {args.node}")
        try:
            await self._create_binding(args)
        except ApiFailed as err:
            return BindResult(error="" if await self._is_bound(args) else str(err))
        return BindResult()

    async def _is_bound(self, args: BindArgs) -> bool:
        """Whether the binding was made although its answer says otherwise, or was lost."""
        try:
            return (await self._pod(args)).facts.node_name == args.node
        except (ApiFailed, BadWire, ReservationConflict):
            return False

    async def _undo(self, args: BindArgs, flight: Flight, done: _Written) -> bool:
        """Take everything back; True where the pod turns out to be bound, and nothing was taken back.

        A patch or a binding whose answer was lost may have been made all the same: the server is asked first.
        """
        try:
            if await self._clear(args, done):
                return True
        except ApiFailed as err:
            # Nobody knows where the pod stands: its share is kept for as long as a reservation.
            _log.warning("pod %s/%s: %s", args.pod_namespace, args.pod_name, err)
            flight.deadline_s = self._cache.clock() + self._settings.hold_s
            return False
        for lock, value in reversed(done.locks):
            try:
                await self._locks.free(args.node, lock, value)
            except ApiFailed as err:
                _log.warning("lock %s of node %s stays until it expires: %s", lock, args.node, err)
        self._cache.placed.pop(flight.request.key, None)
        self._cache.land(flight.request.key)
        return False

    async def _clear(self, args: BindArgs, done: _Written) -> bool:
        """Remove what was written on the pod; True where it is bound. Raises ApiFailed where that cannot be known."""
        for _ in range(_TRIES):
            try:
                pod = await self._pod(args)
            except (BadWire, ReservationConflict):
                return False
            except ApiFailed as err:
                if err.status == _NOT_FOUND:
                    return False
                raise
            if pod.facts.node_name == args.node:
                return True
            if pod.facts.node_name or not done.marks:
                return False
            if await self._unwrite(args, pod.resource_version, done):
                return False
        return False

    async def _unwrite(self, args: BindArgs, version: str, done: _Written) -> bool:
        """Remove our annotations from this version of the pod; False where there is a newer one. Raises ApiFailed."""
        metadata: dict[str, object] = {part: dict.fromkeys(keys) for part, keys in done.marks.items()}
        metadata["resourceVersion"] = version
        try:
            await self._api.patch(pod_path(args.pod_namespace, args.pod_name), {"metadata": metadata})
        except ApiFailed as err:
            if err.status != _CONFLICT:
                raise
            return False
        return True
