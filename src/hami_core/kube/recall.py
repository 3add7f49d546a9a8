"""What became of a pod that this process has not decided: it is new, or another one led then.

Nothing is handed over from one leader to the next. What a pod holds is in its annotations, and why it waits can be
worked out again; what is lost is the moment of the old decision, and the answer says so.
"""

from __future__ import annotations

import attrs

from hami_core.errors import AdmissionRefused, ApiFailed, BadQuantity, BadWire
from hami_core.inventory import read_holding
from hami_core.kube.api import ApiServer, pod_path
from hami_core.kube.cache import Cache
from hami_core.kube.explanations import Explanation, lines_of, now_text, summary, tally_of
from hami_core.kube.records import decode_object
from hami_core.kube.settings import Settings
from hami_core.kube.verdicts import Verdicts
from hami_core.objects import PodFacts, read_pod
from hami_core.requests import pod_request
from hami_core.score.names import unknown_policies

_NOT_FOUND = 404
_ANEW = "worked out anew, as this process did not decide it"


async def recall(api: ApiServer, cache: Cache, settings: Settings, namespace: str, name: str) -> Explanation | None:
    """Read the pod as it is now, and decide it without taking anything; None where it is not, or asks for no device.

    Raises:
        ApiFailed: the pod cannot be read.
        BadWire: it is no pod.
    """
    try:
        pod = read_pod(decode_object(await api.get(pod_path(namespace, name))))
    except ApiFailed as err:
        if err.status == _NOT_FOUND:
            return None
        raise
    if pod.node_name:
        return _placed(pod, cache)
    try:
        request = pod_request(
            pod, cache.registry, node_policy=settings.node_policy, device_policy=settings.device_policy
        )
    except (AdmissionRefused, BadQuantity, BadWire) as err:
        return _told(pod, "rejected", f"{err} ({_ANEW})")
    if not request.families:
        return None
    notes = unknown_policies(request, cache.registry.policies)
    choice = cache.fleet.decide(request)
    told = attrs.evolve(_told(pod, "waiting", ""), notes=notes, request=request)
    if choice.best is not None:
        node = choice.best.placement.node
        return attrs.evolve(told, message=f"fits node {node} now; kube-scheduler has not asked this process for it")
    answers = await Verdicts(cache.fleet).of(choice, choice.candidates)
    texts = {node: answer.text for node, answer in answers.items()}
    return attrs.evolve(
        told,
        outcome="rejected",
        message=f"{summary(texts)} ({_ANEW})",
        tally=tally_of(texts),
        nodes=lines_of(answers),
    )


def _placed(pod: PodFacts, cache: Cache) -> Explanation | None:
    """A pod that is bound, by its annotations."""
    held = read_holding(pod, cache.registry)
    if held is None or not held.placement.families:
        return None
    cards = [
        f"{share.uuid} ({share.memory_mib} MiB)"
        for family in held.placement.families
        for shares in held.placement.shares_of(family)
        for share in shares
    ]
    return attrs.evolve(_told(pod, "bound", f"holds {', '.join(cards)} ({_ANEW})"), node=pod.node_name)


def _told(pod: PodFacts, outcome: str, message: str) -> Explanation:
    return Explanation(
        pod=f"{pod.namespace}/{pod.name}", decision="", outcome=outcome, message=message, when=now_text()
    )
