"""Keeping the limits files of running containers in step with what their pods hold, and saying when they are."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from hami_core.errors import ApiFailed, HamiError
from hami_core.inventory import read_holding
from hami_core.isolation.limits import DeviceLimits, limits_of_share
from hami_core.isolation.processes import running_processes
from hami_core.isolation.region import BadRegion, read_region
from hami_core.isolation.rewriting import over_limits, read_limits, set_limits
from hami_core.kube.api import path_of, pod_path
from hami_core.kube.events import PodRef
from hami_core.kube.records import decode_pod
from hami_core.kube.reflector import Reflector
from hami_core.wire.resize import APPLIED, RESIZED, ResizeApplied, decode_applied, decode_status, encode

if TYPE_CHECKING:
    from hami_core.node.binder import Host
    from hami_core.node.files import Record
    from hami_core.objects import PodFacts

BELOW_USE = "LimitBelowUse"

_AGAIN_S = 10.0
_NO_LIBRARY = "runs without the isolation library; its new share counts in the books alone"
_log = logging.getLogger(__name__)


class LimitsKeeper:
    """Carries out what was resized, on this node.

    Args:
        host: the node.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._waiting: dict[str, PodFacts] = {}
        self._wanted = asyncio.Event()

    async def run(self) -> None:
        """Follow the node's pods until cancelled."""
        fields = f"spec.nodeName={self._host.settings.node}"
        path = path_of("api", "v1", "pods")
        pods = Reflector(self._host.api, path, decode_pod, self, fields=fields)
        async with asyncio.TaskGroup() as group:
            group.create_task(pods.run())
            group.create_task(self._work())

    # ---- a sink of the reflector --------------------------------------------------------------------------------

    def begin(self) -> None:
        """A full list follows."""

    def put(self, item: PodFacts, /) -> None:
        """A pod is there, new or changed."""
        if not item.finished and _unapplied(item):
            self._waiting[item.key] = item
            self._wanted.set()

    def gone(self, item: PodFacts, /) -> None:
        """A pod was deleted."""
        self._waiting.pop(item.key, None)

    def end(self) -> None:
        """The list is complete."""

    # ---- work ---------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            for key, pod in list(self._waiting.items()):
                try:
                    await self.apply(pod)
                except (HamiError, OSError, UnicodeDecodeError) as err:
                    _log.warning("%s: its limits are not the new ones yet: %s", pod.where, err)
                else:
                    if self._waiting.get(key) is pod:
                        del self._waiting[key]
            if self._waiting:
                await asyncio.sleep(_AGAIN_S)
                self._wanted.set()

    async def apply(self, pod: PodFacts) -> None:
        """Write the limits of a pod's containers as its annotations have them, and say on the pod that it is done.

        Raises:
            HamiError: a limits file that is none, or the API server does not answer.
            OSError, UnicodeDecodeError: a file cannot be read or written.
        """
        status = decode_status(pod.annotations.get(RESIZED, ""))
        if status is None:
            return
        records = [record for record in self._host.furnisher.files.records() if record.uid == pod.uid]
        told = [note for record in records for note in await asyncio.to_thread(self._apply, pod, record)]
        metadata = {
            "uid": pod.uid,
            "annotations": {APPLIED: encode(ResizeApplied(id=status.id, message="; ".join(told)))},
        }
        try:
            await self._host.api.patch(pod_path(pod.namespace, pod.name), {"metadata": metadata})
        except ApiFailed as err:
            if err.status not in (404, 409):  # the pod is gone, or another one has its name
                raise
        if told:
            about = PodRef(namespace=pod.namespace, name=pod.name, uid=pod.uid)
            self._host.events.say(about, BELOW_USE, "; ".join(told), warning=True)

    def _apply(self, pod: PodFacts, record: Record) -> list[str]:
        """Write one container's limits; what is to be said of it."""
        wanted = self._wanted_limits(pod, record)
        if not wanted:
            return []
        if not record.library:
            return [f"container {record.container} {_NO_LIBRARY}"]
        folder = self._host.furnisher.files.folder(record.uid, record.container, record.family)
        if set_limits(folder.limits, wanted):
            _log.info("%s, container %s: new limits: %s", pod.where, record.container, folder.limits)
        limits = read_limits(folder.limits)
        try:
            region = read_region(folder.region)
        except BadRegion as err:
            _log.warning("%s", err)
            region = None
        over = () if limits is None else over_limits(limits, region, alive=running_processes().alive)
        return [f"container {record.container}: {each}" for each in over]

    def _wanted_limits(self, pod: PodFacts, record: Record) -> dict[str, DeviceLimits]:
        holding = read_holding(pod, self._host.registry)
        if holding is None or holding.placement.node != self._host.settings.node:
            return {}
        here = {device.uuid: device for device in self._host.discovery.of_family(record.family)}
        return {
            share.uuid: limits_of_share(share, here.get(share.uuid))
            for container in holding.placement.containers
            if container.name == record.container
            for share in container.shares.get(record.family, ())
        }


def _unapplied(pod: PodFacts) -> bool:
    status = decode_status(pod.annotations.get(RESIZED, ""))
    if status is None or status.outcome != "done":
        return False
    applied = decode_applied(pod.annotations.get(APPLIED, ""))
    return applied is None or applied.id != status.id
