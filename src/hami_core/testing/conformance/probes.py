"""Checks of the probe: it says what is there, and is honest where it cannot tell."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hami_core.errors import ProbeFailed
from hami_core.testing.child import Fault, probe_in, probe_with
from hami_core.testing.conformance.check import Ability, check, require
from hami_core.testing.conformance.subject import Subject

_TIMEOUT_S = 20.0


@check("probe", Ability.PROBE)
def a_probe_can_be_imported_by_a_fresh_interpreter(subject: Subject) -> None:
    """It runs in a child process, because a driver can hang or crash."""
    for vendor, probe in subject.probes.items():
        module, name = getattr(probe, "__module__", ""), getattr(probe, "__qualname__", "<unnamed>")
        plain = module not in ("", "__main__") and "<" not in name
        advice = "Return a function that stands in a module, such as probe in your_package/probe.py."
        require(plain, f"the probe of {vendor} is {probe!r}", advice)


@check("probe", Ability.OWN_PROBE)
def a_missing_driver_is_said_to_be_missing(subject: Subject) -> None:
    """No driver is a fact; no devices would be a claim."""
    advice = "Catch the ImportError or OSError of the binding and return ProbeReport(vendor=..., missing=...)."
    for vendor, probe in subject.probes.items():
        try:
            report = probe_with(probe, vendor, Fault.MISSING, timeout_s=_TIMEOUT_S)
        except ProbeFailed as err:
            require(holds=False, found=f"without its driver: {err}", advice=advice)
        else:
            found = f"without its driver the probe of {vendor} reports {report}"
            require(report.missing and not report.devices and report.driver is None, found, advice)
            require(report.vendor == vendor, found, "Set ProbeReport.vendor to the vendor that was asked for.")


@check("probe", Ability.OWN_PROBE)
def a_hanging_driver_is_never_no_devices(subject: Subject) -> None:
    """Unknown is not zero: pods on those devices are still there."""
    _unknown(subject, Fault.HANGS)


@check("probe", Ability.OWN_PROBE)
def a_crashing_driver_is_never_no_devices(subject: Subject) -> None:
    """As a hanging one."""
    _unknown(subject, Fault.CRASHES)


def _unknown(subject: Subject, fault: Fault) -> None:
    for vendor, probe in subject.probes.items():
        try:
            report = probe_with(probe, vendor, fault, timeout_s=_TIMEOUT_S)
        except ProbeFailed:
            continue
        if report.missing:
            continue  # this host has nothing of the vendor, and the probe saw that without touching it
        advice = "Let the failure out: no catch-all, no process or thread of your own that outlives it."
        require(
            holds=False, found=f"when the driver {fault.value}, the probe of {vendor} reports {report}", advice=advice
        )


@check("probe", Ability.SIMULATION)
def the_probe_sees_the_machine(subject: Subject) -> None:
    """What the driver says comes out as it went in."""
    require(subject.machine, "there is no machine file to compare with", "Name one: machine = PATH.")
    assert subject.simulate is not None
    assert subject.machine is not None
    there = {(card.uuid, card.index, card.memory_mib) for card in subject.machine.report().devices}
    for vendor, probe in subject.probes.items():
        with tempfile.TemporaryDirectory() as folder:
            report = probe_in(probe, vendor, subject.simulate(Path(folder)), timeout_s=_TIMEOUT_S)
        seen = {(card.uuid, card.index, card.memory_mib) for card in report.devices}
        found = f"{vendor}: uuid, index and MiB are read as {sorted(map(str, seen))}, not {sorted(map(str, there))}"
        require(seen == there, found, "Compare the probe with the machine file.")
