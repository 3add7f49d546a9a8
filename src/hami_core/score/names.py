"""Policies that a pod names and no plugin has: they are passed over, as in HAMi, but never silently."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from hami_core.errors import shown
from hami_core.model import PodRequest
from hami_core.score.builtin import DEFAULT_DEVICE_POLICY, DEFAULT_NODE_POLICY
from hami_core.score.policy import Policy, PolicyKind


def unknown_policies(pod: PodRequest, policies: Mapping[tuple[str, str], Policy]) -> tuple[str, ...]:
    """A sentence for each name: what is not known, what is taken instead, and what could have been meant."""
    where = f"pod {pod.namespace}/{pod.name}"
    cards = [name.strip() for name in pod.device_policy.split(",")]
    known_cards = any((PolicyKind.DEVICE, name) in policies for name in cards)
    instead = "only the others of the chain order its cards" if known_cards else f"{DEFAULT_DEVICE_POLICY} is taken"
    return (
        *_unknown(where, PolicyKind.NODE, [pod.node_policy], f"{DEFAULT_NODE_POLICY} is taken", policies),
        *_unknown(where, PolicyKind.DEVICE, cards, instead, policies),
    )


def _unknown(
    where: str, kind: PolicyKind, names: Iterable[str], instead: str, policies: Mapping[tuple[str, str], Policy]
) -> Iterable[str]:
    known = sorted(name for its_kind, name in policies if its_kind == kind)
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
            yield f"{where}: no {kind} policy is called {shown(name)}, {instead}; {hint}"
