"""One decision, one line: the same identity in the log, the event and the explanation."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping

from hami_core.kube.events import Events, PodRef
from hami_core.kube.explanations import Answer, Explanation, Explanations, lines_of, now_text, summary, tally_of
from hami_core.kube.waking import Waking
from hami_core.model import PodRequest
from hami_core.registry import Registry
from hami_core.score.names import unknown_policies
from hami_core.verdict import Fits

_POLICIES = 1000
"""Pairs of policy names that are remembered: a chain can be written in any number of ways."""

_log = logging.getLogger("hami.decisions")


def new_decision() -> str:
    """An identity for one decision."""
    return uuid.uuid4().hex[:12]


class Decisions:
    """Says and keeps what was decided.

    Args:
        registry: whose observers hear of it.
        events: where pods hear of it.
        explanations: where it is kept.
        waking: looks after pods that were refused; None leaves that to kube-scheduler.
    """

    def __init__(
        self, registry: Registry, events: Events, explanations: Explanations, waking: Waking | None = None
    ) -> None:
        self.registry = registry
        self._waking = waking
        self._events = events
        self._explanations = explanations
        self._known_policies: set[tuple[str, str]] = set()

    def reserved(self, request: PodRequest, decision: str, best: Fits, took_s: float) -> None:
        """A node was chosen and its share reserved."""
        node = best.placement.node
        if self._waking is not None:
            self._waking.settled(request.key)
        self._say(
            request, decision, "reserved", f"find fit node({node}), score {best.score:.2f}", node=node, took_s=took_s
        )

    def rejected(self, request: PodRequest, decision: str, answers: Mapping[str, Answer], took_s: float) -> None:
        """No node can take the pod."""
        texts = {name: answer.text for name, answer in answers.items()}
        if self._waking is not None:
            self._waking.refused(request, tuple(answers))
        self._say(request, decision, "rejected", summary(texts), answers=answers, texts=texts, took_s=took_s)

    def unreadable(self, request: PodRequest, decision: str, problem: str) -> None:
        """The pod asks for something that no node could give."""
        self._say(request, decision, "rejected", problem)

    def bound(self, request: PodRequest, decision: str, node: str, took_s: float) -> None:
        """The pod was bound."""
        if self._waking is not None:
            self._waking.settled(request.key)
        message = f"Successfully binding node [{node}] to {request.namespace}/{request.name}"
        self._say(request, decision, "bound", message, node=node, took_s=took_s)

    def failed(self, request: PodRequest, decision: str, node: str, problem: str) -> None:
        """The pod could not be bound; everything was undone."""
        self._say(request, decision, "failed", problem, node=node)

    def _say(
        self,
        request: PodRequest,
        decision: str,
        outcome: str,
        message: str,
        *,
        node: str | None = None,
        answers: Mapping[str, Answer] | None = None,
        texts: Mapping[str, str] | None = None,
        took_s: float | None = None,
    ) -> None:
        pod = f"{request.namespace}/{request.name}"
        good = outcome in ("reserved", "bound")
        facts: dict[str, object] = {"decision": decision, "pod": pod, "outcome": outcome, "node": node}
        if took_s is not None:
            facts["took_ms"] = round(took_s * 1000, 2)
        _log.log(logging.INFO if good else logging.WARNING, message, extra={"facts": facts})
        reason = {"reserved": "FilteringSucceed", "rejected": "FilteringFailed", "bound": "BindingSucceed"}
        ref = PodRef(namespace=request.namespace, name=request.name, uid=request.uid)
        self._events.say(ref, reason.get(outcome, "BindingFailed"), message, decision=decision, warning=not good)
        notes = self._unknown_policies(request)
        for note in notes:
            self._events.say(ref, "UnknownPolicy", note, decision=decision, warning=True)
        self._explanations.keep(
            Explanation(
                pod=pod,
                decision=decision,
                outcome=outcome,
                message=message,
                when=now_text(),
                request=request,
                node=node,
                tally=tally_of(texts or {}),
                nodes=lines_of(answers or {}),
                notes=notes,
            )
        )
        self.registry.decided(pod=pod, node=node, reason=message)

    def _unknown_policies(self, request: PodRequest) -> tuple[str, ...]:
        """What the pod names and no plugin has; names that were all known once are not looked at again."""
        named = request.node_policy, request.device_policy
        if named in self._known_policies:
            return ()
        notes = unknown_policies(request, self.registry.policies)
        if not notes and len(self._known_policies) < _POLICIES:
            self._known_policies.add(named)
        return notes
