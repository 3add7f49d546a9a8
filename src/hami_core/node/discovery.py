"""What cards this node has: every vendor's probe, its last answer, and the health that follows from all answers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import attrs

from hami_core.behaviour import ProbeReport
from hami_core.errors import ProbeFailed
from hami_core.local.sight import cards_of
from hami_core.node.health import GOOD, VANISHED, Condition, Health, Kind, Sighting, overdue
from hami_core.node.sharing import NodeSharing
from hami_core.probing import probe_vendor

if TYPE_CHECKING:
    from hami_core.family import Family, Sharing
    from hami_core.local.sight import Card
    from hami_core.model import Device, PartitionPlacement, PartitionProfile
    from hami_core.node.partitioning import Place
    from hami_core.node.settings import NodeSettings
    from hami_core.registry import Registry

_log = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class Change:
    """A card whose health is another one now."""

    uuid: str
    before: Condition
    health: Health


class Discovery:
    """The node's cards as last known. A failed probe changes no inventory: unknown is not zero.

    Args:
        registry: the vendors; those whose own device plugin allocates are not looked at.
        settings: the health rules.
        sharing: how cards are split and scaled, and which are left out; None: as the settings say alone.
        environ: of the probes' children (a simulated machine's, say); None means this process's.
        ours: where hardware partitions of our containers lie; places of all others are left out of profiles.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        registry: Registry,
        settings: NodeSettings,
        *,
        sharing: NodeSharing | None = None,
        environ: Mapping[str, str] | None = None,
        ours: Callable[[], frozenset[Place]] = frozenset,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.health: dict[str, Health] = {}
        self.problems: dict[str, str] = {}
        self.rules = settings.health
        self._registry = registry
        self._only = frozenset(settings.vendors)
        self._sharing = NodeSharing(settings) if sharing is None else sharing
        self._environ = environ
        self._ours = ours
        self._clock = clock
        self._others: dict[str, tuple[PartitionPlacement, ...]] = {}
        self._cards: dict[str, dict[str, Card]] = {}

    @property
    def vendors(self) -> tuple[str, ...]:
        """Vendors that this agent allocates for, sorted."""
        served = {item.family.vendor for item in self._registry.families.values() if item.allocate is not None}
        return tuple(sorted(served & self._only if self._only else served))

    @property
    def devices(self) -> tuple[Device, ...]:
        """Every card ever seen since the start but those left out, scaled, with its health; by family, index, uuid."""
        cards = [(card, self._family(card)) for known in self._cards.values() for card in known.values()]
        devices = [
            self._registered(card, self._sharing.of(family))
            for card, family in cards
            if not self._sharing.left_out(card.probed, family)
        ]
        return tuple(sorted(devices, key=lambda device: (device.family, device.index, device.uuid)))

    def of_family(self, family: str) -> tuple[Device, ...]:
        """The cards of one family."""
        return tuple(device for device in self.devices if device.family == family)

    async def look(self) -> tuple[Change, ...]:
        """Probe every vendor once; returns whose health changed."""
        before = self._ours()
        reports = await asyncio.gather(*(asyncio.to_thread(self._probe, vendor) for vendor in self.vendors))
        # The probe may have come before or after what was made or removed meanwhile: both are ours.
        ours = before | self._ours()
        for report in reports:
            if isinstance(report, ProbeReport):
                self._others.update(_of_others(report, ours))
        changes: list[Change] = []
        for vendor, report in zip(self.vendors, reports, strict=True):
            changes += self._take(vendor, report)
        return tuple(changes)

    def see(self, uuid: str, sighting: Sighting) -> Change | None:
        """Count what was seen of one card; None where its health stays as it is, or the card is unknown."""
        if not any(uuid in known for known in self._cards.values()):
            return None
        before = self.health.get(uuid, Health())
        after = before.see(sighting, self._clock(), self.rules)
        return self._keep(uuid, before, after)

    def cordon(self, uuids: frozenset[str]) -> tuple[Change, ...]:
        """Take these cards out of service, and put all others back."""
        found = (
            self._keep(uuid, health, health.cordon(cordoned=uuid in uuids))
            for uuid, health in sorted(self.health.items())
        )
        return tuple(_some(found))

    def overdue(self, after_s: float) -> dict[str, Health]:
        """Cards that have been out of order for `after_s`, by uuid."""
        return overdue(self.health, now_s=self._clock(), after_s=after_s)

    def _probe(self, vendor: str) -> ProbeReport | ProbeFailed | None:
        try:
            return probe_vendor(self._registry, vendor, environ=self._environ)
        except ProbeFailed as err:
            return err

    def _take(self, vendor: str, report: ProbeReport | ProbeFailed | None) -> list[Change]:
        known = self._cards.setdefault(vendor, {})
        if report is None:
            return []
        if isinstance(report, ProbeFailed) or (report.driver is None and known):
            problem = str(report) if isinstance(report, ProbeFailed) else report.missing
            self._complain(vendor, problem)
            doubt = Sighting(kind=Kind.DOUBT, note=problem)
            return _some(self.see(uuid, doubt) for uuid in sorted(known))
        if self.problems.pop(vendor, None):
            _log.info("the probe of %s works again", vendor)
        try:
            cards = {card.device.uuid: card for card in cards_of(report, self._registry)}
        except ProbeFailed as err:
            self._complain(vendor, str(err))
            return []
        known.update(cards)
        return _some(self.see(uuid, _judged(cards.get(uuid))) for uuid in sorted(known))

    def _complain(self, vendor: str, problem: str) -> None:
        if self.problems.get(vendor) != problem:
            _log.warning("%s; its cards stay as they were known", problem)
        self.problems[vendor] = problem

    def _keep(self, uuid: str, before: Health, after: Health) -> Change | None:
        self.health[uuid] = after
        if before.condition is after.condition:
            return None
        _log.warning("card %s is %s, was %s: %s", uuid, after.condition, before.condition, after.note or "no complaint")
        return Change(uuid=uuid, before=before.condition, health=after)

    def _family(self, card: Card) -> Family:
        return self._registry.family(card.device.family).family

    def _registered(self, card: Card, sharing: Sharing) -> Device:
        device = card.device
        partitioned = device.mode == "mig"  # partitions have sizes of their own
        memory_mib = device.memory_mib or sharing.memory_mib or 0
        return attrs.evolve(
            device,
            model=self._registry.family(device.family).family.registered_model(device.model),
            memory_mib=memory_mib if partitioned else int(memory_mib * sharing.memory_scaling),
            core_units=device.core_units if partitioned else int(device.core_units * sharing.core_scaling),
            slots=sharing.split_count,
            profiles=_free(card.probed.profiles, self._others.get(device.uuid, ())),
            healthy=self.health.get(device.uuid, Health()).usable and memory_mib > 0,
        )


def _of_others(report: ProbeReport, ours: frozenset[Place]) -> dict[str, tuple[PartitionPlacement, ...]]:
    """Places of partitions that are none of ours, by card."""
    return {
        card.uuid: tuple(place for place in card.partitions if (card.uuid, place) not in ours)
        for card in report.devices
    }


def _free(
    profiles: tuple[PartitionProfile, ...], taken: tuple[PartitionPlacement, ...]
) -> tuple[PartitionProfile, ...]:
    """The profiles with those of their places alone that overlap nothing that is taken."""
    return tuple(
        attrs.evolve(
            profile,
            placements=tuple(
                place for place in profile.placements if not any(place.overlaps(other) for other in taken)
            ),
        )
        for profile in profiles
    )


def _judged(card: Card | None) -> Sighting:
    if card is None:
        return VANISHED
    return GOOD if card.probed.healthy else Sighting(kind=Kind.FAULT, note=card.probed.health_note)


def _some(found: Iterable[Change | None]) -> list[Change]:
    return [change for change in found if change is not None]
