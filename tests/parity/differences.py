"""The deliberate differences from HAMi, as rules. Each has its row, under the same id, in docs/parity.md.

A rule says on which inputs it holds and what exactly may differ there. It never looks at which scenario it is in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs
from tests.parity.replay import Finding, Step

from hami_core.model import ContainerRequest, Placement
from hami_core.verdict import Fits


@attrs.frozen(kw_only=True)
class Difference:
    """One rule: `applies` looks at the input alone, `allows` at one difference in the outcome."""

    id: str
    applies: Callable[[Step], bool]
    allows: Callable[[Step, Finding], bool]

    def covers(self, step: Step, finding: Finding) -> bool:
        """Whether this rule explains `finding`."""
        return self.applies(step) and self.allows(step, finding)


# ---- one-entry-per-container ---------------------------------------------------------------------------------------


def _a_container_asks_nothing_of_a_family_whose_models_are_not_its_name(step: Step) -> bool:
    request = step.request
    if request is None:
        return False
    models = {(card.family, card.model) for cards in step.cards.values() for card in cards}
    return any(
        any(not _asks(container, family) for container in request.containers)
        and any(name == family and model != family for name, model in models)
        for family in request.families
    )


def _asks(container: ContainerRequest, family: str) -> bool:
    return any(asked.family == family for asked in container.devices)


def _only_empty_entries_differ(step: Step, finding: Finding) -> bool:
    assert step.request is not None
    containers = len(step.request.containers)
    if finding.what == "devices":
        return _filled(finding.theirs) == _filled(finding.ours) and all(
            len(held) == containers for held in finding.ours.values()
        )
    if finding.what == "annotations":
        theirs, ours = (_entries(annotations) for annotations in (finding.theirs, finding.ours))
        return _filled(theirs) == _filled(ours) and all(
            len(entries) == containers for key, entries in ours.items() if key in _listing(ours)
        )
    return False


def _entries(annotations: dict[str, str]) -> dict[str, Any]:
    listing = _listing(annotations)
    return {key: text.split(";")[:-1] if key in listing else [text] for key, text in annotations.items()}


def _listing(annotations: Iterable[str]) -> set[str]:
    return {key for key in annotations if key.endswith(("-devices-allocated", "-devices-to-allocate"))}


def _filled(entries: dict[str, list[Any]]) -> dict[str, list[Any]]:
    return {name: [entry for entry in held if entry] for name, held in entries.items()}


# ---- numa-topology -------------------------------------------------------------------------------------------------


def _several_connected_cards_on_one_numa_node(step: Step) -> bool:
    request = step.request
    if request is None or request.device_policy != "topology-aware":
        return False
    return any(
        request.selectors[asked.family].numa_bind and asked.count > 1
        for container in request.containers
        for asked in container.devices
    )


def _ours_found_a_numa_node(step: Step, finding: Finding) -> bool:
    if finding.what == "node":
        return finding.theirs is None
    return (
        finding.what == "verdict"
        and isinstance(finding.theirs, str)
        and isinstance(finding.ours, Fits)
        and _bound(step, finding.ours.placement)
    )


def _bound(step: Step, placement: Placement) -> bool:
    numa = {card.uuid: card.numa for card in step.cards[placement.node]}
    return all(
        len({numa[share.uuid] for share in shares}) <= 1
        for container in placement.containers
        for shares in container.shares.values()
    )


DIFFERENCES = (
    Difference(
        id="one-entry-per-container",
        applies=_a_container_asks_nothing_of_a_family_whose_models_are_not_its_name,
        allows=_only_empty_entries_differ,
    ),
    Difference(
        id="numa-topology",
        applies=_several_connected_cards_on_one_numa_node,
        allows=_ours_found_a_numa_node,
    ),
)
