"""The node lock: taken where a node's agent cannot tell pods apart, in HAMi's format, and never for ever."""

from __future__ import annotations

import functools
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from hami_core.errors import ApiFailed, BadWire, HamiError
from hami_core.family import NodeLock
from hami_core.kube.api import ApiServer, node_path, pod_path
from hami_core.kube.records import Meta
from hami_core.wire.node_lock import LockValue, decode_lock, encode_lock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hami_core.model import PodRequest
    from hami_core.objects import NodeFacts
    from hami_core.registry import Registry

BINDING = "hami.io/binding"
"""A node annotation. ``late``: the agent learns at container start which pod it serves, so binds need no lock."""

LATE = "late"

ALLOCATION_S = 2.0
"""A device plugin frees its lock within some 20 ms; what takes longer is stuck, and not waited for."""

_CONFLICT = 409
_NOT_FOUND = 404
_TRIES = 5
_log = logging.getLogger(__name__)


class NodeLocked(HamiError):
    """Another pod's allocation on the node is not finished."""

    def __init__(self, *, node: str, value: str, timeout_s: float) -> None:
        self.node = node
        self.value = value
        super().__init__(node, value, timeout_s)
        self._timeout_s = timeout_s

    def __str__(self) -> str:
        return (
            f"node {self.node} has been locked within {self._timeout_s:g} s by {self.value}: node lock contention; it "
            "is freed when that pod's device plugin has allocated, or by itself"
        )


class _Node(msgspec.Struct, kw_only=True):
    metadata: Meta


def locks_needed(request: PodRequest, registry: Registry, node: NodeFacts | None) -> tuple[NodeLock, ...]:
    """The locks that a bind of this pod takes on this node, sorted."""
    if node is not None and node.annotations.get(BINDING) == LATE:
        return ()
    asked = {registry.family(name).family.wire.lock for name in request.families}
    return tuple(sorted(asked - {NodeLock.NONE}))


def busy_nodes(
    locks: Mapping[str, Mapping[str, str]], namespace: str, pod: str, *, now: datetime, timeout_s: float
) -> frozenset[str]:
    """Nodes that another pod has locked for longer than an allocation takes: a bind there would only wait."""
    return frozenset(
        node
        for node, held in locks.items()
        if any(_busy(_read(value), namespace, pod, now, timeout_s) for value in held.values())
    )


@functools.lru_cache(maxsize=8192)  # the same locks are looked at in every filter until they change
def _read(value: str) -> LockValue | None:
    try:
        return decode_lock(value, what="node lock")
    except BadWire:
        return None


def _busy(lock: LockValue | None, namespace: str, pod: str, now: datetime, timeout_s: float) -> bool:
    if lock is None:
        return False
    return not lock.held_by(namespace, pod) and lock.expired(now, ALLOCATION_S) and not lock.expired(now, timeout_s)


class Locks:
    """Takes and frees locks.

    Args:
        api: the server.
        timeout_s: the age at which a lock may be taken over.
    """

    def __init__(self, api: ApiServer, *, timeout_s: float) -> None:
        self._api = api
        self._timeout_s = timeout_s

    async def take(self, node: str, lock: NodeLock, namespace: str, pod: str) -> str | None:
        """Lock `node` for a pod; returns what was written. None where the pod has the lock already.

        Raises:
            NodeLocked: another pod has it.
            ApiFailed: the node cannot be read or written.
        """
        for _ in range(_TRIES):
            meta = await self._meta(node)
            value = (meta.annotations or {}).get(lock, "")
            if value and await self._stands(node, value, namespace, pod):
                if decode_lock(value, what=f"node {node}: annotation {lock}").held_by(namespace, pod):
                    return None
                raise NodeLocked(node=node, value=value, timeout_s=self._timeout_s)
            # Cambricon's plugin reads a time alone.
            owner = None if lock is NodeLock.DSMLU else (namespace, pod)
            mine = encode_lock(LockValue(since=datetime.now(UTC), owner=owner))
            if await self._write(node, lock, mine, meta.resource_version):
                return mine
        raise NodeLocked(node=node, value="writers that came first, again and again", timeout_s=self._timeout_s)

    async def free(self, node: str, lock: NodeLock, value: str) -> bool:
        """Free the lock if it still is the one that was written as `value`. Raises ApiFailed."""
        for _ in range(_TRIES):
            meta = await self._meta(node)
            if (meta.annotations or {}).get(lock) != value:
                return False
            if await self._write(node, lock, None, meta.resource_version):
                return True
        return False

    async def clear_orphan(self, node: str, lock: NodeLock) -> bool:
        """Free a lock that nobody can be using: it cannot be read, is too old, or its pod is gone. Raises ApiFailed."""
        meta = await self._meta(node)
        value = (meta.annotations or {}).get(lock, "")
        if not value or await self._stands(node, value, "", ""):
            return False
        return await self._write(node, lock, None, meta.resource_version)

    async def _stands(self, node: str, value: str, namespace: str, pod: str) -> bool:
        """Whether a lock still has to be respected."""
        try:
            lock = decode_lock(value, what=f"node {node}: lock")
        except BadWire as err:
            _log.warning("%s; taken as no lock", err)
            return False
        if lock.held_by(namespace, pod):
            return True
        if lock.expired(datetime.now(UTC), self._timeout_s):
            return False
        if lock.owner is None:
            return True
        try:
            await self._api.get(pod_path(*lock.owner))
        except ApiFailed as err:
            if err.status == _NOT_FOUND:
                return False
            raise
        return True

    async def _meta(self, node: str) -> Meta:
        return msgspec.json.decode(await self._api.get(node_path(node)), type=_Node).metadata

    async def _write(self, node: str, lock: NodeLock, value: str | None, version: str) -> bool:
        """Write a lock unless the node changed meanwhile."""
        patch = {"metadata": {"resourceVersion": version, "annotations": {str(lock): value}}}
        try:
            await self._api.patch(node_path(node), patch)
        except ApiFailed as err:
            if err.status == _CONFLICT:
                return False
            raise
        return True
