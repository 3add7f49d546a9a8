"""Whether a card may be given out: a state machine of its own for every card, the same for every vendor.

    healthy ──doubt──▶ suspect ──patience ends, or a fault──▶ unhealthy ──good──▶ recovering ──good for long──▶ healthy

A fault leads to unhealthy from anywhere, a doubt leads back from recovering; what a good look means depends on how long
the looks have been good. An operator's cordon lies over all of it and hides none of it. Pure: times are the caller's.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs

XID_HARMLESS = frozenset({13, 31, 43, 45, 68, 109})
"""Xid codes that a program's own mistake causes (NVIDIA's Xid catalogue); HAMi's plugin leaves out the same."""


class Condition(enum.StrEnum):
    """Where a card stands."""

    HEALTHY = "healthy"
    SUSPECT = "suspect"  # something could not be read; still given out
    UNHEALTHY = "unhealthy"
    RECOVERING = "recovering"  # good again, but not yet for long enough
    CORDONED = "cordoned"  # an operator said so


OUT_OF_ORDER = (Condition.UNHEALTHY, Condition.RECOVERING)


class Kind(enum.Enum):
    """What was seen of a card."""

    GOOD = enum.auto()  # the driver answered and has no complaint
    DOUBT = enum.auto()  # the driver did not answer: unknown is not broken
    FAULT = enum.auto()  # the driver complains, the card vanished, or a fatal Xid came


@attrs.frozen(kw_only=True)
class Sighting:
    """One look at a card; `note` says what was wrong."""

    kind: Kind
    note: str = ""


GOOD = Sighting(kind=Kind.GOOD)
VANISHED = Sighting(kind=Kind.FAULT, note="the driver does not list the card any more")


@attrs.frozen(kw_only=True)
class HealthRules:
    """How patient to be, in seconds, and which Xid codes do not count."""

    doubt_patience_s: float = 300.0
    recovery_s: float = 120.0
    harmless_xids: frozenset[int] = XID_HARMLESS

    def of_xid(self, code: int) -> Sighting | None:
        """What an Xid says of the card; None for one that is the program's own fault."""
        return None if code in self.harmless_xids else Sighting(kind=Kind.FAULT, note=f"Xid {code}")


@attrs.frozen(kw_only=True)
class Health:
    """A card's health: the condition under any cordon, since when it holds, and why.

    `out_since_s` is when the card went out of order; None once it is healthy again.
    """

    under: Condition = Condition.HEALTHY
    since_s: float = 0.0
    out_since_s: float | None = None
    note: str = ""
    cordoned: bool = False

    @property
    def condition(self) -> Condition:
        """What to show."""
        return Condition.CORDONED if self.cordoned else self.under

    @property
    def usable(self) -> bool:
        """Whether new containers may get the card."""
        return self.condition in (Condition.HEALTHY, Condition.SUSPECT)

    def see(self, sighting: Sighting, now_s: float, rules: HealthRules) -> Health:
        """The health after one more look."""
        match sighting.kind:
            case Kind.FAULT:
                return self._become(Condition.UNHEALTHY, now_s, sighting.note)
            case Kind.DOUBT:
                return self._doubt(sighting.note, now_s, rules)
            case Kind.GOOD:
                return self._good(now_s, rules)

    def cordon(self, *, cordoned: bool) -> Health:
        """The health with an operator's cordon, or without it."""
        return attrs.evolve(self, cordoned=cordoned)

    def _doubt(self, note: str, now_s: float, rules: HealthRules) -> Health:
        match self.under:
            case Condition.HEALTHY:
                return self._become(Condition.SUSPECT, now_s, note)
            case Condition.SUSPECT if now_s - self.since_s >= rules.doubt_patience_s:
                return self._become(Condition.UNHEALTHY, now_s, note)
            case Condition.RECOVERING:
                return self._become(Condition.UNHEALTHY, now_s, note)
        return self

    def _good(self, now_s: float, rules: HealthRules) -> Health:
        match self.under:
            case Condition.SUSPECT:
                return self._become(Condition.HEALTHY, now_s, "")
            case Condition.UNHEALTHY:
                return self._become(Condition.RECOVERING, now_s, self.note)
            case Condition.RECOVERING if now_s - self.since_s >= rules.recovery_s:
                return self._become(Condition.HEALTHY, now_s, "")
        return self

    def _become(self, condition: Condition, now_s: float, note: str) -> Health:
        # A fault that goes on keeps its beginning; a clock that went back does not make anything wait longer.
        since_s = self.since_s if condition is self.under else now_s
        out = condition in OUT_OF_ORDER
        out_since_s = (now_s if self.out_since_s is None else self.out_since_s) if out else None
        return attrs.evolve(self, under=condition, since_s=since_s, out_since_s=out_since_s, note=note)


def overdue(health: Mapping[str, Health], *, now_s: float, after_s: float) -> dict[str, Health]:
    """Cards that have been out of order for `after_s`, by uuid. A cordon alone moves nobody.

    Recovering counts: after a fatal Xid the driver answers well at the next look, and what ran on the card is dead.
    """
    return {
        uuid: each
        for uuid, each in health.items()
        if each.out_since_s is not None and now_s - each.out_since_s >= after_s
    }
