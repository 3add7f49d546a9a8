"""A dry run on a live cluster: say for each pending pod where it would go, and change nothing."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import msgspec

from hami_core.errors import AdmissionRefused, BadQuantity, BadWire
from hami_core.kube.explanations import summary
from hami_core.kube.records import decode_object
from hami_core.objects import PodFacts, read_pod
from hami_core.requests import pod_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from hami_core.kube.cache import Cache
    from hami_core.kube.settings import Settings

_EVERY_S = 2.0
_log = logging.getLogger("hami.decisions")


def decode_whole_pod(data: bytes | msgspec.Raw) -> PodFacts:
    """Read a pod with its containers' resources, which the cache alone does not need.

    Raises:
        BadWire: not a pod.
    """
    return read_pod(decode_object(data))


class Rehearsal:
    """Decides pending pods over and over, each by itself, and says what is new.

    Args:
        cache: the cluster; asked for anew each time.
        settings: how the process was set up.
    """

    def __init__(self, cache: Callable[[], Cache], settings: Settings) -> None:
        self._cache = cache
        self._settings = settings
        self._pending: dict[str, PodFacts] = {}
        self._said: dict[str, str] = {}

    def see(self, pod: PodFacts) -> None:
        """A pod is there, new or changed."""
        if pod.node_name or pod.finished or pod.deleting:
            self._pending.pop(pod.key, None)
            self._said.pop(pod.key, None)
        else:
            self._pending[pod.key] = pod

    async def run(self) -> None:
        """Decide until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            for pod in list(self._pending.values()):
                self._rehearse(pod)
                await asyncio.sleep(0)

    def _rehearse(self, pod: PodFacts) -> None:
        verdict = self.verdict(pod)
        if verdict and self._said.get(pod.key) != verdict:
            self._said[pod.key] = verdict
            _log.info("dry run: %s %s", pod.where, verdict)

    def verdict(self, pod: PodFacts) -> str:
        """What would become of a pod now; empty where it asks for no device."""
        cache, settings = self._cache(), self._settings
        try:
            request = pod_request(
                pod, cache.registry, node_policy=settings.node_policy, device_policy=settings.device_policy
            )
        except (AdmissionRefused, BadQuantity, BadWire) as err:
            return f"would be refused: {err}"
        if not request.families:
            return ""
        choice = cache.fleet.decide(request)
        if choice.best is None:
            texts = {name: str(verdict) for name, verdict in choice.verdicts(details=False).items()}
            return f"would wait: {summary(texts)}"
        place = choice.best.placement
        cards = [
            f"{share.uuid} ({share.memory_mib} MiB)"
            for family in place.families
            for shares in place.shares_of(family)
            for share in shares
        ]
        return f"would go to node {place.node}: {', '.join(cards)}"
