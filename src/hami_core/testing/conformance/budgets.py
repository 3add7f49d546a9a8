"""Checks of cost, counted in calls: the same on every machine, however busy it is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import attrs

from hami_core.fit import Fleet
from hami_core.model import ContainerRequest, Device, DeviceRequest, PodRequest
from hami_core.objects import NodeFacts
from hami_core.registry import LoadedFamily
from hami_core.testing.child import loaded_by_import
from hami_core.testing.conformance.check import Ability, check, require
from hami_core.testing.conformance.subject import Subject, registered

_FEW, _MANY = 4, 256
_SLACK = 2  # how much steeper than straight the growth may be
_MOST_CALLS = 3_000_000  # some 0.3 s for one decision on one node of sixteen cards, all eight-card sets looked at
_CARDS = 16
_COUNTS = (1, 2, 8)
_HEAVY = ("grpc", "kubernetes", "pandas", "tensorflow", "torch")


def calls(work: Callable[[], object]) -> int:
    """How many function calls `work` makes, of Python and of C."""
    count = 0

    def tally(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal count
        if event in ("call", "c_call"):
            count += 1

    before = sys.getprofile()
    sys.setprofile(tally)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


@check("budget", Ability.REGISTER)
def reading_a_node_grows_with_its_cards(subject: Subject) -> None:
    """Nodes are read on every change; a loop over pairs of cards would be felt on large ones."""
    for loaded in subject.families:
        if not subject.registers(loaded):
            continue
        few, many = (_cost_of_reading(subject, loaded, count) for count in (_FEW, _MANY))
        most = few * _MANY // _FEW * _SLACK
        found = f"{loaded.family.name}: {_FEW} cards are read in {few} calls, {_MANY} cards in {many}"
        require(many <= most, found, f"Keep it below {most}: look at each card once.")


def _cost_of_reading(subject: Subject, loaded: LoadedFamily, count: int) -> int:
    node = registered(loaded.family, _many(subject.written(loaded)[0], count))
    return calls(lambda: loaded.codec.decode(node))


def _many(card: Device, count: int) -> list[Device]:
    return [attrs.evolve(card, uuid=f"{card.uuid}-{index}", index=index) for index in range(count)]


@check("budget")
def a_decision_stays_small(subject: Subject) -> None:
    """A chooser that tries every set of cards is quick on four cards and endless on sixteen."""
    for loaded in subject.families:
        cards = _many(subject.cards(loaded)[0], _CARDS)
        for count in _COUNTS:
            request = DeviceRequest(family=loaded.family.name, count=count, memory_mib=1)
            pod = PodRequest(
                name="p",
                containers=(ContainerRequest(name="c", devices=(request,)),),
                device_policy="topology-aware",
            )
            fleet = Fleet(subject.registry)
            fleet.upsert_node(NodeFacts(name="n"), cards)
            cost = calls(lambda fleet=fleet, pod=pod: fleet.decide(pod))  # type: ignore[misc] # bound now, called now
            found = f"{loaded.family.name}: {count} of {_CARDS} cards take {cost} calls"
            require(cost <= _MOST_CALLS, found, f"Keep it below {_MOST_CALLS}: bound the sets that are tried.")


@check("budget", Ability.MODULE)
def importing_the_plugin_loads_nothing_heavy(subject: Subject) -> None:
    """`hami --help` and the webhook import every plugin."""
    module = getattr(subject.module, "__name__", "")
    heavy = [name for name in loaded_by_import(module) if name in _HEAVY]
    require(not heavy, f"importing {module} loads {', '.join(heavy)}", "Import it where it is used, inside a function.")
