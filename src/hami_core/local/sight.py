"""What a machine has: every vendor's probe, run in a child, as devices that shares can be taken of."""

from __future__ import annotations

import os
from collections.abc import Mapping

import attrs

from hami_core.behaviour import ProbedDevice, ProbeReport
from hami_core.errors import ProbeFailed, UnknownName
from hami_core.local.cordon import cordoned_cards
from hami_core.local.machine import Machine, families_of, has_doubles
from hami_core.machine_file import read_machine
from hami_core.model import Device
from hami_core.probing import probe_vendor
from hami_core.registry import Registry

SLOTS_PER_CARD = 10
"""How many leases may share a card, as HAMi's device plugin has it by default (deviceSplitCount)."""


@attrs.frozen(kw_only=True)
class Card:
    """A card as its driver reports it, and as the fit engine counts it."""

    vendor: str
    probed: ProbedDevice
    device: Device


@attrs.frozen(kw_only=True)
class Sight:
    """The cards of a machine. `missing` and `failed` say, by vendor, what is not installed or did not answer."""

    machine: Machine
    cards: tuple[Card, ...] = ()
    missing: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    failed: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    cordoned: frozenset[str] = frozenset()  # cards that an operator took out of service here

    def of(self, vendor: str) -> tuple[Card, ...]:
        """The cards of one vendor."""
        return tuple(card for card in self.cards if card.vendor == vendor)


def look_at(machine: Machine, registry: Registry, vendor: str | None = None) -> Sight:
    """Probe `machine` for the devices of one vendor, or of every vendor that can be probed.

    Raises:
        UnknownName: no plugin serves `vendor`, or it does not serve this simulated machine.
    """
    served = tuple(registry.vendors) if machine.vendor is None else (machine.vendor,)
    if vendor is not None and vendor not in served:
        raise UnknownName(kind=f"vendor on {machine.name}", name=vendor, known=served)
    environ = {**os.environ, **machine.simulation(registry)}
    cards: list[Card] = []
    missing: dict[str, str] = {}
    failed: dict[str, str] = {}
    for name in served if vendor is None else (vendor,):
        try:
            report = _told(machine, registry) or probe_vendor(registry, name, environ=environ)
        except ProbeFailed as err:
            failed[name] = str(err)
            continue
        if report is None:
            continue
        if report.driver is None and report.missing:
            missing[name] = report.missing
        cards += cards_of(report, registry)
    cordoned = frozenset(cordoned_cards(machine.folder))
    return Sight(machine=machine, cards=tuple(cards), missing=missing, failed=failed, cordoned=cordoned)


def _told(machine: Machine, registry: Registry) -> ProbeReport | None:
    """What the file of a simulated machine says, where its vendor has no driver doubles that a probe could ask."""
    if machine.file is None or has_doubles(registry, machine.vendor):
        return None
    return read_machine(machine.file).report()


def cards_of(report: ProbeReport, registry: Registry) -> list[Card]:
    """The cards of a report, by index.

    Raises:
        ProbeFailed: a card that belongs to none of the vendor's families.
    """
    made = []
    for probed in sorted(report.devices, key=lambda found: (found.index, found.uuid)):
        device = Device(
            uuid=probed.uuid,
            family=_family_of(probed, report.vendor, registry),
            model=probed.model,
            index=probed.index,
            # A card whose memory the driver would not tell is shown, but nothing can be promised of it.
            memory_mib=probed.memory_mib or 0,
            core_units=probed.core_units,
            slots=SLOTS_PER_CARD,
            numa=probed.numa or 0,
            healthy=probed.healthy and probed.memory_mib is not None,
            mode=probed.mode,
            custom=probed.custom,
        )
        made.append(Card(vendor=report.vendor, probed=probed, device=device))
    return made


def _family_of(probed: ProbedDevice, vendor: str, registry: Registry) -> str:
    """The vendor's family.

    Of several the one that has the model, or that the probe names, else the longest that the model's name holds.
    """
    families = [loaded.family for loaded in families_of(registry, vendor)]
    names = [family.name for family in families]
    if len(names) == 1:
        return names[0]
    named = next((family.name for family in families if probed.model in family.models), None)
    named = named or str(probed.custom.get("family", ""))
    model = probed.model.casefold()
    alike = [named] if named in names else [name for name in names if name.casefold() in model]
    if not alike:
        raise ProbeFailed(f"{vendor} device {probed.uuid} ({probed.model}) is of no family of {', '.join(names)}")
    return max(alike, key=len)
