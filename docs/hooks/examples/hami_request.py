"""Cores that are asked for in quarters of a card."""

from __future__ import annotations

import attrs

from hami_core import DeviceRequest, hookimpl
from hami_core.behaviour import RequestParser
from hami_core.family import Family
from hami_core.objects import ContainerFacts, PodFacts
from hami_core.requests import TableRequest


@hookimpl
def hami_request(family: Family) -> RequestParser:
    """The table's rules, then quarters to percent."""
    table = TableRequest(family)

    def quarters(pod: PodFacts, container: ContainerFacts) -> DeviceRequest | None:
        asked = table(pod, container)
        return asked and attrs.evolve(asked, core_units=asked.core_units * 25)

    return quarters
