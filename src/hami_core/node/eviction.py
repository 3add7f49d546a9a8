"""Moving pods off cards that are out of order, by the Eviction API, so that disruption budgets are kept."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hami_core.errors import ApiFailed
from hami_core.inventory import read_holding
from hami_core.kube.api import pod_path
from hami_core.kube.events import PodRef

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hami_core.kube.api import ApiServer
    from hami_core.kube.events import Events
    from hami_core.objects import PodFacts
    from hami_core.registry import Registry

EVICTED = "EvictedFromUnhealthyCard"

_NOT_NOW = (404, 409, 429)  # gone already, another of that name, or the budget says no: the next round looks again
_log = logging.getLogger(__name__)


def holders(pods: Iterable[PodFacts], cards: Iterable[str], registry: Registry) -> list[tuple[PodFacts, str]]:
    """Pods that hold one of the cards, and which; in the order given. Those that end anyway are left alone."""
    wanted = set(cards)
    found = []
    for pod in pods:
        holding = None if pod.deleting or pod.finished else read_holding(pod, registry)
        if holding is None:
            continue
        held = sorted(
            share.uuid
            for container in holding.placement.containers
            for shares in container.shares.values()
            for share in shares
            if share.uuid in wanted
        )
        if held:
            found.append((pod, held[0]))
    return found


async def evict(api: ApiServer, events: Events, pod: PodFacts, why: str) -> bool:
    """Ask for the eviction of a pod; whether it was granted.

    Raises:
        ApiFailed: the API server does not answer, or does not let us.
    """
    metadata = {"namespace": pod.namespace, "name": pod.name}
    options = {"preconditions": {"uid": pod.uid}} if pod.uid else {}
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata, "deleteOptions": options}
    try:
        await api.post(pod_path(pod.namespace, pod.name, "eviction"), body)
    except ApiFailed as err:
        if err.status not in _NOT_NOW:
            raise
        _log.info("%s: not evicted now: %s", pod.where, err)
        return False
    _log.warning("%s: evicted: %s", pod.where, why)
    events.say(PodRef(namespace=pod.namespace, name=pod.name, uid=pod.uid), EVICTED, why, warning=True)
    return True
