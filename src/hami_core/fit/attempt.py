"""A pod on one node: every container in turn, on a copy of the node's cards. Pure, and the engine's reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from hami_core.behaviour import Candidate, FitContext
from hami_core.fit.plan import Ask, Plan, Step
from hami_core.fit.usage import with_share
from hami_core.fit.walk import Refusal, walk
from hami_core.model import ContainerKind, ContainerShares, DeviceShare, DeviceUse, Placement
from hami_core.objects import NodeFacts
from hami_core.verdict import Broken

if TYPE_CHECKING:
    from hami_core.registry import LoadedFamily


@attrs.frozen(kw_only=True)
class NodeView:
    """A node at one moment: what vendors read from it, its cards by family, and which families could not be read."""

    facts: NodeFacts
    cards: Mapping[str, tuple[DeviceUse, ...]]
    broken: Mapping[str, str]


def attempt(plan: Plan, view: NodeView) -> Placement | Refusal | Broken:
    """Place the pod's containers on the node's cards.

    Each init container is tried on a copy of the node that holds the sidecars started before it; sidecars and app
    containers pile up. The first container that finds no place ends the attempt.
    """
    for loaded in plan.families:
        if loaded.family.name in view.broken:
            return Broken(problem=view.broken[loaded.family.name], plugin=loaded.source.name)
    staying = {loaded.family.name: list(view.cards.get(loaded.family.name, ())) for loaded in plan.families}
    done: list[ContainerShares] = []
    for step in plan.steps:
        leaves = step.container.kind is ContainerKind.INIT
        cards = {name: list(uses) for name, uses in staying.items()} if leaves else staying
        placed = _place(step, cards, plan, view, tuple(done))
        if not isinstance(placed, ContainerShares):
            return placed
        done.append(placed)
    return Placement(node=view.facts.name, containers=tuple(done))


def _place(
    step: Step, cards: dict[str, list[DeviceUse]], plan: Plan, view: NodeView, earlier: tuple[ContainerShares, ...]
) -> ContainerShares | Refusal | Broken:
    shares: dict[str, tuple[DeviceShare, ...]] = {}
    context = FitContext(pod=plan.pod, container_index=step.index, node=view.facts, earlier=earlier)
    for ask in step.asks:
        name = ask.request.family
        # Rearranged in place: equals keep the order that an earlier container of the pod left them in, as in HAMi.
        cards[name] = ask.order.arrange(cards[name], step.container.devices, plan.pod.weights)
        picked = _walk(cards[name], ask, context)
        if isinstance(picked, Refusal | Broken):
            return picked
        shares[name] = tuple(candidate.share for candidate in picked)
        cards[name] = _after(cards[name], picked)
    return ContainerShares(name=step.container.name, kind=step.container.kind, shares=shares)


def _walk(cards: list[DeviceUse], ask: Ask, context: FitContext) -> tuple[Candidate, ...] | Refusal | Broken:
    try:
        return walk(cards, ask, context)
    except Exception as err:  # noqa: BLE001 - a vendor's code failed: this node cannot be judged, the others can
        return broken_by(err, ask.loaded)


def broken_by(err: Exception, loaded: LoadedFamily) -> Broken:
    """The verdict where a vendor's rule, chooser or scorer failed."""
    return Broken(problem=f"{loaded.family.name}: {type(err).__name__}: {err}", plugin=loaded.source.name)


def _after(cards: list[DeviceUse], picked: tuple[Candidate, ...]) -> list[DeviceUse]:
    given: dict[str, list[DeviceShare]] = {}
    for candidate in picked:
        given.setdefault(candidate.share.uuid, []).append(candidate.share)
    after = []
    for card in cards:
        use = card
        for share in given.get(card.device.uuid, ()):
            use = with_share(use, share)
        after.append(use)
    return after
