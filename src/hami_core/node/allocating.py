"""HAMi's way of binding: at Allocate, the one pod that the node lock names, or that waits alone.

For container runtimes without CDI. The scheduler takes the node lock for such nodes, so no more than one pod is being
allocated. Where two might be, none gets anything; and what was given at Allocate is compared with kubelet's own books
before the container is created.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import msgspec

from hami_core.behaviour import ContainerEdits
from hami_core.errors import ApiFailed, BadWire, HamiError
from hami_core.family import NodeLock
from hami_core.kube.api import node_path
from hami_core.kube.locks import Locks
from hami_core.kube.records import Meta
from hami_core.node.api.v1beta1.deviceplugin_pb2 import ContainerAllocateResponse, DeviceSpec, Mount
from hami_core.node.assignment import Assignment, Refused
from hami_core.node.binder import Held, Host
from hami_core.node.cleanup import pods_on
from hami_core.node.ids import cdi_device
from hami_core.node.phases import mark_allocated, mark_failed
from hami_core.objects import PodFacts
from hami_core.placement import ALLOCATING, BIND_PHASE, BIND_TIME, NODE
from hami_core.registry import LoadedFamily
from hami_core.wire.node_lock import decode_lock
from hami_core.wire.pod_devices import decode_pod_devices

_LOCK_TIMEOUT_S = 300.0
_log = logging.getLogger(__name__)


class _Node(msgspec.Struct, kw_only=True):
    metadata: Meta


class AllocatingBinder:
    """Binds one family by the contract's way.

    Args:
        host: the node.
        loaded: the family.
    """

    def __init__(self, host: Host, loaded: LoadedFamily) -> None:
        self.loaded = loaded
        self._host = host
        self._locks = Locks(host.api, timeout_s=_LOCK_TIMEOUT_S)
        self._one = asyncio.Lock()

    async def allocate(self, asked: Sequence[frozenset[str]]) -> list[ContainerAllocateResponse]:
        """What the next containers of the waiting pod get.

        Raises:
            Refused: there is not exactly one such pod, or its annotation asks for another count.
            ApiFailed: the API server does not answer.
            OSError: the files cannot be written.
        """
        async with self._one:
            lock = await self._lock()
            pod = await self._waiting(lock)
            try:
                answers = [await self._next(pod, ids) for ids in asked]
            except (HamiError, OSError) as err:
                await self._give_up(pod, lock, err)
                raise
            if answers and answers[-1][1]:
                await self._free(lock)
            return [answer for answer, _ in answers]

    async def start(self, ids: frozenset[str]) -> None:
        """Compare what was given for these ids with who holds them.

        Raises:
            Refused: another container holds them; an event says so.
            KubeletSilent, ApiFailed: cannot be known now; kubelet tries again.
        """
        resource = self.loaded.family.resources.count
        pod: PodFacts | None = None
        try:
            pod, containers = await self._host.holders(resource, ids)
            for held in containers:
                self._compare(held, pod, cdi_device(resource, ids))
        except Refused as err:
            await self._host.refuse(resource, ids, pod, err)
            raise

    def _compare(self, held: Held, pod: PodFacts, device: str) -> None:
        given = [record for record in self._host.furnisher.files.records() if record.cdi_device == device]
        if not any((record.uid, record.container) == (pod.uid, held.container) for record in given):
            to = " and ".join(f"pod {record.namespace}/{record.pod}" for record in given) or "no pod"
            raise Refused(f"{pod.where}, container {held.container}: holds what was given to {to}")

    async def _next(self, pod: PodFacts, ids: frozenset[str]) -> tuple[ContainerAllocateResponse, bool]:
        """The answer for the first container that still waits, and whether it was the pod's last."""
        host, family = self._host, self.loaded.family
        assignment = await self._assignment(pod, len(ids))
        edits = await host.furnish(assignment, cdi_device(family.resources.count, ids))
        return _response(edits), await mark_allocated(host.api, host.registry, assignment)

    async def _assignment(self, pod: PodFacts, count: int) -> Assignment:
        family = self.loaded.family
        key = family.wire.to_allocate
        now = await self._host.pod(pod.namespace, pod.name)
        if now is None or now.uid != pod.uid:
            raise Refused(f"{pod.where}: is gone")
        text = now.annotations.get(key or "", "")
        waiting = decode_pod_devices(text, what=f"{pod.where}: annotation {key}")
        for position, shares in enumerate(waiting):
            if shares and position < len(now.containers):
                break
        else:
            raise Refused(f"{pod.where}: nothing is left to allocate in {key}")
        container = now.containers[position]
        if len(shares) != count:
            raise Refused(
                f"{pod.where}, container {container.name}: kubelet gives it {count} of {family.resources.count}, "
                f"{key} names {len(shares)} cards"
            )
        return Assignment(pod=now, container=container, position=position, family=family.name, shares=shares)

    async def _lock(self) -> str:
        """The node lock's value; empty where there is none."""
        name = self.loaded.family.wire.lock
        if name is NodeLock.NONE:
            return ""
        data = await self._host.api.get(node_path(self._host.settings.node))
        return (msgspec.json.decode(data, type=_Node).metadata.annotations or {}).get(name, "")

    async def _waiting(self, lock: str) -> PodFacts:
        """The pod that is being allocated."""
        host = self._host
        try:
            owner = decode_lock(lock, what="node lock").owner if lock else None
        except BadWire as err:
            _log.warning("%s; looking for a pod that waits", err)
            owner = None
        names = [owner] if owner is not None else sorted((await pods_on(host.api, host.settings.node)).values())
        found = [pod for name in names if (pod := await host.pod(*name)) is not None and self._waits(pod)]
        if len(found) != 1:
            who = " and ".join(pod.where for pod in found) or "no pod"
            raise Refused(f"node {host.settings.node}: {who} waits for {self.loaded.family.resources.count}, not one")
        return found[0]

    def _waits(self, pod: PodFacts) -> bool:
        told = pod.annotations
        return (
            not pod.finished
            and told.get(NODE) == self._host.settings.node
            and told.get(BIND_PHASE) == ALLOCATING
            and BIND_TIME in told
            and "," in told.get(self.loaded.family.wire.to_allocate or "", "")
        )

    async def _give_up(self, pod: PodFacts, lock: str, problem: Exception) -> None:
        _log.warning("%s: not allocated: %s", pod.where, problem)
        try:
            await mark_failed(self._host.api, pod)
            await self._free(lock)
        except ApiFailed as err:
            _log.warning("%s: its phase or the node lock stays: %s", pod.where, err)

    async def _free(self, lock: str) -> None:
        if lock:
            await self._locks.free(self._host.settings.node, self.loaded.family.wire.lock, lock)


def _response(edits: ContainerEdits) -> ContainerAllocateResponse:
    return ContainerAllocateResponse(
        envs=edits.env,
        mounts=[
            Mount(container_path=mount.container_path, host_path=mount.host_path, read_only=mount.read_only)
            for mount in edits.mounts
        ],
        devices=[
            DeviceSpec(container_path=path, host_path=path, permissions=rights) for path, rights in edits.device_nodes
        ],
        annotations=edits.annotations,
    )
