"""The answer to "does this pod fit that node": `Fits`, `Rejected` or `Broken`.

An expected "no" is a value. `str()` of a verdict is the text HAMi's users know; it is the same for the same input.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

import attrs

from hami_core.model import Placement


class Reason(enum.StrEnum):
    """Why a card or a node cannot take a request. Values are HAMi's words, which dashboards and people grep for."""

    TYPE_MISMATCH = "CardTypeMismatch"
    UUID_MISMATCH = "CardUuidMismatch"
    SLOTS_EXHAUSTED = "CardTimeSlicingExhausted"
    CORES_EXHAUSTED = "CardComputeUnitsExhausted"
    MEMORY = "CardInsufficientMemory"
    CORES = "CardInsufficientCore"
    UNHEALTHY = "CardNotHealth"
    CORDONED = "CardCordoned"
    NUMA = "NumaNotFit"
    EXCLUSIVE = "ExclusiveDeviceAllocateConflict"
    CUSTOM_RULE = "CardNotFoundCustomFilterRule"
    PARTITION = "CardMigTopologyInfeasible"
    QUOTA = "ResourceQuotaNotFit"
    MODE = "ModeNotFit"
    TOO_FEW = "AllocatedCardsInsufficientRequest"
    NODE_TOO_SMALL = "NodeInsufficientDevice"
    TYPE_NOT_FOUND = "Device type not found"
    UNREGISTERED = "node unregistered"

    @property
    def curable(self) -> bool:
        """Whether evicting pods could make room: taken shares can come back, a wrong model cannot become right."""
        return self in _CURABLE

    @property
    def counts_cards(self) -> bool:
        """Whether the text is a tally over cards (``3/4 ...``) or a bare statement about the node."""
        return self not in _BARE


_CURABLE = frozenset(
    {
        Reason.SLOTS_EXHAUSTED,
        Reason.CORES_EXHAUSTED,
        Reason.MEMORY,
        Reason.CORES,
        Reason.EXCLUSIVE,
        Reason.PARTITION,
        Reason.NUMA,
        Reason.TOO_FEW,
    }
)
_BARE = frozenset({Reason.NODE_TOO_SMALL, Reason.TYPE_NOT_FOUND, Reason.UNREGISTERED})


@attrs.frozen(kw_only=True)
class DeviceReason:
    """One card, why it was passed over, and the numbers behind it, for people."""

    uuid: str
    family: str
    reason: Reason
    detail: str = ""  # "GPU-3 (A40): 3000 MiB asked, 1200 MiB free of 46068; held by team-a/train (44868 MiB)"


@attrs.frozen(kw_only=True)
class Fits:
    """The pod fits here; `placement` says on which cards, `score` how much the policies like it."""

    score: float
    placement: Placement

    def __str__(self) -> str:
        return f"fits, score {self.score:g}"


@attrs.frozen(kw_only=True)
class Rejected:
    """The pod does not fit here. `tally` counts cards per reason out of `total` candidates."""

    tally: Mapping[Reason, int] = attrs.field(factory=lambda: MappingProxyType({}), hash=False)
    total: int = 0
    devices: tuple[DeviceReason, ...] = ()
    container: str = ""  # name of the first container that found no place

    @property
    def curable(self) -> bool:
        """Whether preemption could help; decides FailedNodes against FailedAndUnresolvableNodes."""
        return any(reason.curable for reason in self.tally)

    def __str__(self) -> str:
        parts = (f"{n}/{self.total} {why}" if why.counts_cards else str(why) for why, n in self.tally.items())
        return ", ".join(sorted(parts))


@attrs.frozen(kw_only=True)
class Broken:
    """The node could not be judged: its own data is malformed. Other nodes are not affected."""

    problem: str
    plugin: str = ""
    curable: bool = attrs.field(default=False, init=False)

    def __str__(self) -> str:
        return self.problem


Verdict: TypeAlias = Fits | Rejected | Broken
