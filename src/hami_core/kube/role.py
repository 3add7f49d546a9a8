"""The label that says which pod decides: the Service that kube-scheduler calls selects by it."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable

import attrs

from hami_core.errors import ApiFailed
from hami_core.kube.api import ApiServer, pod_path

ROLE = "hami.io/scheduler-role"
"""``leader`` or ``follower``; a label of this process's own pod, as HAMi names it."""

_EVERY_S = 0.2
_AFTER_FAILURE_S = 2.0
_log = logging.getLogger(__name__)


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
            role = "leader" if self._deciding() else "follower"
            pause_s = _EVERY_S
            if role != shown:
                try:
                    await self._api.patch(
                        pod_path(self._pod.namespace, self._pod.name), {"metadata": {"labels": {ROLE: role}}}
                    )
                    shown = role
                except ApiFailed as err:
                    _log.warning("pod %s is not labelled %s=%s: %s", self._pod.name, ROLE, role, err)
                    pause_s = _AFTER_FAILURE_S
            await asyncio.sleep(pause_s)
