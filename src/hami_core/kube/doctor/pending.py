"""Pods that ask for our resources and wait: why, decided here as the scheduler would decide."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from hami_core.errors import AdmissionRefused, BadQuantity, BadWire
from hami_core.fit import advise
from hami_core.kube.explanations import summary
from hami_core.requests import pod_request

if TYPE_CHECKING:
    from hami_core.kube.cache import Cache
    from hami_core.kube.doctor.finding import Check, Finding
    from hami_core.kube.doctor.look import Item, Look
    from hami_core.objects import PodFacts

MOST = 20
"""Pods that are looked into: the reasons of a hundred more are seldom others."""


async def check(look: Look, check: Check) -> Sequence[Finding]:
    """Look into the pods that have waited longest."""
    cache = await look.cache()
    home = await look.home()
    scheduler = "hami-scheduler" if home is None else home.scheduler_name
    waiting = [
        (pod, item)
        for pod, item in await look.pods()
        if not (pod.node_name or pod.finished or pod.deleting) and _age_s(look, item) >= look.wanted.pending_s
    ]
    waiting.sort(key=lambda each: -_age_s(look, each[1]))
    found: list[Finding] = []
    more = 0
    for pod, item in waiting:
        if not _asks(pod, cache):
            continue
        if len(found) >= MOST:
            more += 1
        else:
            found.append(_waits(check, pod, item, cache, scheduler))
    if more:
        found.append(
            check.note("pods", f"{more} more pods that ask for shares wait", "hami explain pod NAMESPACE/NAME")
        )
    return found or [check.ok("pods", "none that asks for a share waits")]


def _age_s(look: Look, item: Item) -> float:
    text = (item.get("metadata") or {}).get("creationTimestamp") or ""
    try:
        return (look.now - datetime.fromisoformat(text)).total_seconds()
    except ValueError:
        return 0.0


def _asks(pod: PodFacts, cache: Cache) -> bool:
    try:
        return bool(pod_request(pod, cache.registry).families)
    except (AdmissionRefused, BadQuantity, BadWire):
        return True


def _waits(check: Check, pod: PodFacts, item: Item, cache: Cache, scheduler: str) -> Finding:
    about = f"pod {pod.namespace}/{pod.name}"
    try:
        request = pod_request(pod, cache.registry)
    except (AdmissionRefused, BadQuantity, BadWire) as err:
        return check.problem(about, str(err), "create it anew with a request that can be met")
    if pod.scheduler_name != scheduler:
        return check.problem(
            about,
            f"is left to scheduler {pod.scheduler_name}, not {scheduler}: the webhook did not see it",
            "create it anew; if that does not help, see the findings on the webhook",
        )
    choice = cache.fleet.decide(request)
    if choice.best is not None:
        says = _condition(item) or "kube-scheduler has said nothing about it"
        node = choice.best.placement.node
        return check.problem(about, f"fits node {node}, and waits: {says}", "see the findings above, and its events")
    texts = {name: str(verdict) for name, verdict in choice.verdicts(details=False).items()}
    advice = [str(each) for each in advise(cache.fleet, request)]
    do = f"would help: {'; or '.join(advice)}" if advice else "wait for a share to be freed, or add nodes"
    return check.problem(about, summary(texts), do)


def _condition(item: Item) -> str:
    for entry in (item.get("status") or {}).get("conditions") or ():
        if entry.get("type") == "PodScheduled":
            return str(entry.get("message") or "")
    return ""
