"""How an Acme node registers: ``acme.com/npus``, one line a card.

npu-0 model=acme-big mib=65536 cores=20 slots=4 numa=0 ring=0 place=3 health=ok
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from hami_core import Device, NodeFacts
from hami_core.errors import BadWire, shown
from hami_core.family import Family

REGISTER = "acme.com/npus"
RING, PLACE = "ring", "place"
_NUMBERS = ("mib", "cores", "slots", "numa", RING, PLACE)
_KEYS = {"model", "health", *_NUMBERS}
_DIGITS = 9  # more would be no number of anything on one card


@attrs.frozen
class AcmeRegister:
    """Reads the annotation; a node without it has no Acme cards."""

    family: Family

    def decode(self, node: NodeFacts) -> tuple[Device, ...]:
        """The node's cards.

        Raises:
            BadWire: a line is malformed, or a card is there twice.
        """
        text = node.annotations.get(REGISTER, "")
        what = f"node {node.name}: annotation {REGISTER}"
        lines = [line for line in text.splitlines() if line.strip()]
        cards = tuple(self._card(line, index, what) for index, line in enumerate(lines))
        if len({card.uuid for card in cards}) != len(cards):
            raise BadWire(what=what, problem="a card is registered twice")
        return cards

    def _card(self, line: str, index: int, what: str) -> Device:
        at = f"line {index + 1}"
        uuid, *fields = line.split()
        values = dict(field.partition("=")[::2] for field in fields)
        if set(values) != _KEYS or len(values) != len(fields) or any(mark in uuid for mark in ",:;"):
            wanted = f"must be: id {' '.join(f'{key}=' for key in sorted(_KEYS))}; got {shown(line)}"
            raise BadWire(what=what, position=at, problem=wanted)
        numbers: dict[str, int] = {}
        for key in _NUMBERS:
            if not (values[key].isascii() and values[key].isdigit() and len(values[key]) <= _DIGITS):
                problem = f"must be a whole number; got {shown(values[key])}"
                raise BadWire(what=what, position=f"{at}, {key}", problem=problem)
            numbers[key] = int(values[key])
        return Device(
            uuid=uuid,
            family=self.family.name,
            model=values["model"],
            index=index,
            memory_mib=numbers["mib"],
            core_units=numbers["cores"],
            slots=numbers["slots"],
            numa=numbers["numa"],
            healthy=values["health"] == "ok",
            custom={RING: numbers[RING], PLACE: numbers[PLACE]},
        )


def encode(cards: Sequence[Device]) -> str:
    """The annotation for `cards`: what Acme's node agent writes."""
    return "\n".join(
        f"{card.uuid} model={card.model} mib={card.memory_mib} cores={card.core_units} slots={card.slots}"
        f" numa={card.numa} ring={card.custom[RING]} place={card.custom[PLACE]}"
        f" health={'ok' if card.healthy else 'bad'}"
        for card in cards
    )
