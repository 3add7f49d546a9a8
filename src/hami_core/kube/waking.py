"""Wakes pods that were refused a moment too early.

kube-scheduler asks again when it sees a share freed or a node changed. If our own watch shows that change only after we
have answered, nothing else would make it ask before its flush of five minutes. A change of the pod itself does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import attrs

from hami_core.errors import ApiFailed
from hami_core.kube.api import ApiServer, pause, pod_path

if TYPE_CHECKING:
    from hami_core.kube.cache import Cache
    from hami_core.model import PodRequest

RETRY = "hami.io/retry"
"""An annotation of pods that wait: when there was room again. Its value means nothing, its change does."""

_EVERY_S = 0.5
_FIRST_S = 0.5  # our watch is behind by less than that, and kube-scheduler's own next try takes longer
_LONGEST_S = 30.0
_MOST = 2000
_A_SWEEP = 50
_log = logging.getLogger(__name__)


@attrs.define(kw_only=True)
class _Refused:
    request: PodRequest
    nodes: tuple[str, ...]
    due_s: float
    wait_s: float


class Waking:
    """Looks after refused pods.

    Args:
        api: the server.
        cache: the cluster; asked for anew each time.
        leading: whether this process may write.
    """

    def __init__(self, api: ApiServer, cache: Callable[[], Cache], *, leading: Callable[[], bool]) -> None:
        self._api = api
        self._cache = cache
        self._leading = leading
        self._refused: dict[str, _Refused] = {}

    def refused(self, request: PodRequest, nodes: Sequence[str]) -> None:
        """None of these nodes can take the pod now."""
        known = self._refused.pop(request.key, None)
        if len(self._refused) >= _MOST:
            return  # so many wait that each freed share finds a pod by itself
        # A pod that was woken in vain keeps its longer wait: nodes may have reasons that only kube-scheduler knows.
        wait_s = _FIRST_S if known is None else known.wait_s
        due_s = self._cache().clock() + wait_s
        self._refused[request.key] = _Refused(request=request, nodes=tuple(nodes), due_s=due_s, wait_s=wait_s)

    def settled(self, key: str) -> None:
        """The pod has a node, or is gone."""
        self._refused.pop(key, None)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            if not self._leading():
                self._refused.clear()
                continue
            now_s = self._cache().clock()
            due = [(key, entry) for key, entry in self._refused.items() if entry.due_s <= now_s]
            for key, entry in due[:_A_SWEEP]:
                await pause()
                if self._refused.get(key) is entry:
                    await self._look(key, entry, now_s)

    async def _look(self, key: str, entry: _Refused, now_s: float) -> None:
        entry.wait_s = min(2 * entry.wait_s, _LONGEST_S)
        entry.due_s = now_s + entry.wait_s
        if self._cache().fleet.decide(entry.request, entry.nodes).best is None:
            return
        request = entry.request
        metadata: dict[str, object] = {"annotations": {RETRY: datetime.now(UTC).isoformat(timespec="milliseconds")}}
        if request.uid:
            metadata["uid"] = request.uid
        try:
            await self._api.patch(pod_path(request.namespace, request.name), {"metadata": metadata})
        except ApiFailed as err:
            _log.info("pod %s/%s is not woken: %s", request.namespace, request.name, err)
            if err.status is not None:
                self.settled(key)  # gone, or another pod of its name
        else:
            _log.info("pod %s/%s was refused while our watch was behind; woken", request.namespace, request.name)
