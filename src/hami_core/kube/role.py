"""The label that says which pod decides: the Service that kube-scheduler calls selects by it."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable

import attrs
import msgspec

from hami_core.errors import ApiFailed
from hami_core.kube.api import ApiServer, path_of, pod_path
from hami_core.kube.records import Meta

ROLE = "hami.io/scheduler-role"
"""``leader`` or ``follower``; a label of this process's own pod, as HAMi names it."""

LEADER = "leader"
FOLLOWER = "follower"

_EVERY_S = 0.2
_AFTER_FAILURE_S = 2.0
_log = logging.getLogger(__name__)


class _Pod(msgspec.Struct, kw_only=True):
    metadata: Meta


class _Pods(msgspec.Struct, kw_only=True):
    items: list[_Pod] = []


@attrs.frozen(kw_only=True)
class OwnPod:
    """The pod that this process runs in."""

    namespace: str
    name: str

    @classmethod
    def from_environment(cls) -> OwnPod | None:
        """As POD_NAMESPACE and POD_NAME say; None outside a pod, or where its manifest does not set them."""
        namespace, name = os.environ.get("POD_NAMESPACE"), os.environ.get("POD_NAME")
        return cls(namespace=namespace, name=name) if namespace and name else None


class Role:
    """Keeps the label true.

    Args:
        api: the server.
        pod: which pod is labelled.
        deciding: whether this process answers filter and bind.
    """

    def __init__(self, api: ApiServer, pod: OwnPod, *, deciding: Callable[[], bool]) -> None:
        self._api = api
        self._pod = pod
        self._deciding = deciding

    async def run(self) -> None:
        """Label the pod whenever its role changes, until cancelled."""
        shown = ""
        while True:
            role = LEADER if self._deciding() else FOLLOWER
            pause_s = _EVERY_S
            if role != shown:
                try:
                    await self._label(self._pod.name, role)
                    if role == LEADER:
                        await self._depose()
                    shown = role
                except ApiFailed as err:
                    _log.warning("pod %s is not labelled %s=%s: %s", self._pod.name, ROLE, role, err)
                    pause_s = _AFTER_FAILURE_S
            await asyncio.sleep(pause_s)

    async def _depose(self) -> None:
        """Take the label off a leader that was killed: it could not do so itself, and would still be sent requests."""
        pods = path_of("api", "v1", "namespaces", self._pod.namespace, "pods")
        found = msgspec.json.decode(await self._api.get(pods, {"labelSelector": f"{ROLE}={LEADER}"}), type=_Pods)
        for other in found.items:
            if other.metadata.name != self._pod.name:
                await self._label(other.metadata.name, FOLLOWER)

    async def _label(self, name: str, role: str) -> None:
        await self._api.patch(pod_path(self._pod.namespace, name), {"metadata": {"labels": {ROLE: role}}})
