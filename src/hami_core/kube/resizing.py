"""Carrying out ``hami.io/resize``: the scheduler that leads checks the room, and changes what the pod holds.

The wish is an annotation, so that who may resize is who may patch the pod, by the cluster's own rules. What the pod
holds is written in one patch that names the version it was decided on; meanwhile the larger of both sizes is counted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from hami_core.errors import ApiFailed, BadWire, HamiError
from hami_core.inventory import Holding, read_holding
from hami_core.kube.api import pod_path
from hami_core.kube.events import PodRef
from hami_core.kube.filtering import AskedPod
from hami_core.kube.records import decode_object, decode_pod
from hami_core.resizing import CannotResize, Wish, larger, no_room, over_quota, resized
from hami_core.wire.pod_devices import decode_pod_devices, encode_pod_devices
from hami_core.wire.resize import RESIZE, RESIZED, ResizeRequest, ResizeStatus, decode_request, decode_status, encode

if TYPE_CHECKING:
    from hami_core.kube.api import ApiServer
    from hami_core.kube.cache import Cache
    from hami_core.kube.events import Events
    from hami_core.model import Placement
    from hami_core.objects import PodFacts

DONE = "Resized"
REFUSED = "ResizeRefused"

_UNREADABLE = "unreadable"
_CONFLICT = 409
_NOT_FOUND = 404
_TRIES = 5
_LOOK_EVERY_S = 0.5
_log = logging.getLogger(__name__)


class Resizing:
    """Answers wishes, one after the other.

    Args:
        api: the server.
        cache: the cluster; asked for anew each time, as a new configuration replaces it.
        events: where owners are told.
        leading: whether this process decides now.
    """

    def __init__(
        self, api: ApiServer, cache: Callable[[], Cache], events: Events, *, leading: Callable[[], bool]
    ) -> None:
        self._api = api
        self._cache = cache
        self._events = events
        self._leading = leading
        self._waiting: dict[str, tuple[str, str]] = {}
        self._wanted = asyncio.Event()

    def see(self, pod: PodFacts) -> None:
        """Take note of a pod that wishes for something and has no answer; of one that is gone, none is needed."""
        if RESIZE not in pod.annotations or pod.finished or pod.deleting or _answered(pod):
            self._waiting.pop(pod.key, None)
            return
        self._waiting[pod.key] = (pod.namespace, pod.name)
        self._wanted.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            for key, (namespace, name) in list(self._waiting.items()):
                if not self._leading():
                    break
                try:
                    await self.answer(namespace, name)
                except HamiError as err:
                    _log.warning("pod %s/%s: not resized now: %s", namespace, name, err)
                else:
                    self._waiting.pop(key, None)
            if self._waiting:
                # A follower keeps what it saw, for the day it leads.
                await asyncio.sleep(_LOOK_EVERY_S)
                self._wanted.set()

    async def answer(self, namespace: str, name: str) -> None:
        """Carry a pod's wish out, or refuse it; nothing where it has an answer already.

        Raises:
            ApiFailed: the pod cannot be read or written.
        """
        for number in range(_TRIES):
            try:
                pod = AskedPod.of(decode_object(await self._api.get(pod_path(namespace, name))))
            except ApiFailed as err:
                if err.status == _NOT_FOUND:
                    return
                raise
            if RESIZE not in pod.facts.annotations or _answered(pod.facts):
                if number:  # our own patch, whose answer was lost
                    self._cache().put_pod(pod.facts)
                return
            try:
                await self._decide(pod)
            except ApiFailed as err:
                if err.status != _CONFLICT or number == _TRIES - 1:
                    raise
            else:
                return

    async def _decide(self, pod: AskedPod) -> None:
        facts = pod.facts
        wish_id = _UNREADABLE
        try:
            request = decode_request(facts.annotations[RESIZE], what=f"{facts.where}: annotation {RESIZE}")
            wish_id = request.id
            holding, after = self._after(facts, request)
        except (CannotResize, BadWire) as err:
            await self._refuse(pod, wish_id, str(err))
            return
        await self._write(pod, request, holding, after)

    def _after(self, facts: PodFacts, request: ResizeRequest) -> tuple[Holding, Placement]:
        """What the pod holds, and what it shall hold; checked against all that others hold. Raises CannotResize."""
        cache = self._cache()
        holding = read_holding(facts, cache.registry)
        if holding is None or not facts.node_name:
            raise CannotResize(f"{facts.where} holds no share on a node")
        if holding.problems:
            raise CannotResize(holding.problems[0])
        before = holding.placement
        if before.node not in cache.fleet.nodes:
            raise CannotResize(f"node {before.node} has no cards that are known")
        after = resized(before, _wish(request), cache.registry)
        problems = no_room(cache.fleet, facts.key, before, after, init_done=holding.init_done)
        problems += over_quota(cache.fleet, facts.namespace, before, after, cache.registry)
        if problems:
            raise CannotResize("; ".join(problems))
        return holding, after

    async def _write(self, pod: AskedPod, request: ResizeRequest, holding: Holding, after: Placement) -> None:
        facts, cache = pod.facts, self._cache()
        text = f"{request.container or 'its container'} has {_told(request)} from now on"
        status = ResizeStatus(id=request.id, outcome="done", message=text)
        written = {**_annotations(facts, after, cache), RESIZED: encode(status)}
        # From here until the patch is answered, no decision may count less than either size.
        with cache.resize(facts.key, larger(holding.placement, after), holding):
            data = await self._patch(pod, written)
            cache.settle_resize(decode_pod(data))
        _log.info("%s: %s", facts.where, text)
        self._tell(facts, DONE, text, warning=False)

    async def _refuse(self, pod: AskedPod, wish_id: str, why: str) -> None:
        status = ResizeStatus(id=wish_id, outcome="refused", message=why)
        await self._patch(pod, {RESIZED: encode(status)})
        _log.warning("%s: not resized: %s", pod.facts.where, why)
        self._tell(pod.facts, REFUSED, why, warning=True)

    async def _patch(self, pod: AskedPod, annotations: dict[str, str]) -> bytes:
        metadata = {"annotations": annotations, "resourceVersion": pod.resource_version, "uid": pod.facts.uid}
        return await self._api.patch(pod_path(pod.facts.namespace, pod.facts.name), {"metadata": metadata})

    def _tell(self, facts: PodFacts, reason: str, text: str, *, warning: bool) -> None:
        about = PodRef(namespace=facts.namespace, name=facts.name, uid=facts.uid)
        self._events.say(about, reason, text, warning=warning, again=True)


def _answered(pod: PodFacts) -> bool:
    status = decode_status(pod.annotations.get(RESIZED, ""))
    if status is None:
        return False
    try:
        request = decode_request(pod.annotations[RESIZE], what=pod.where)
    except BadWire:
        return status.id == _UNREADABLE
    return status.id == request.id


def _wish(request: ResizeRequest) -> Wish:
    return Wish(memory_mib=request.memory_mib, cores=request.cores, container=request.container, family=request.family)


def _told(request: ResizeRequest) -> str:
    parts = [] if request.memory_mib is None else [f"{request.memory_mib} MiB"]
    parts += [] if request.cores is None else [f"{request.cores} cores"]
    return " and ".join(parts) + " of each card"


def _annotations(facts: PodFacts, after: Placement, cache: Cache) -> dict[str, str]:
    """The shares as they are now, and those that still wait to be handed out."""
    written = {}
    for name in after.families:
        wire = cache.registry.family(name).family.wire
        shares = after.shares_of(name)
        written[wire.allocated] = encode_pod_devices(shares, family=name)
        text = facts.annotations.get(wire.to_allocate or "", "")
        if wire.to_allocate is not None and "," in text:
            waiting = decode_pod_devices(text, what=f"{facts.where}: annotation {wire.to_allocate}")
            left = [now if index < len(waiting) and waiting[index] else () for index, now in enumerate(shares)]
            written[wire.to_allocate] = encode_pod_devices(left, family=name)
    return written
