"""Running the checks on a plugin, and what came out as a value, as JSON data and as JUnit XML."""

from __future__ import annotations

import enum
import traceback
from collections.abc import Iterable
from types import ModuleType
from typing import Any
from xml.etree import ElementTree as ET

import attrs

from hami_core.testing.conformance import (
    budgets,
    codecs,
    families,
    fitting,
    papers,
    placing,
    policies,
    probes,
    requests,
)
from hami_core.testing.conformance.check import Check, NotConforming
from hami_core.testing.conformance.subject import Subject

_MODULES: tuple[ModuleType, ...] = (families, requests, codecs, fitting, placing, probes, policies, budgets, papers)

CHECKS: tuple[Check, ...] = tuple(
    value for module in _MODULES for value in vars(module).values() if isinstance(value, Check)
)
"""Every check of the kit, in the order of a pod's life."""


class State(enum.StrEnum):
    """How a check ended."""

    KEPT = "kept"
    BROKEN = "broken"
    LEFT_OUT = "left out"  # the plugin does not offer what the check is about


@attrs.frozen(kw_only=True)
class Result:
    """One check on one plugin."""

    check: Check
    state: State
    found: str = ""
    advice: str = ""


@attrs.frozen(kw_only=True)
class Report:
    """All checks on one plugin."""

    plugin: str
    machine: str
    results: tuple[Result, ...]

    @property
    def conforms(self) -> bool:
        """Whether no rule is broken."""
        return not any(result.state is State.BROKEN for result in self.results)

    def count(self, state: State) -> int:
        """How many checks ended so."""
        return sum(result.state is state for result in self.results)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON data."""
        return {
            "plugin": self.plugin,
            "machine": self.machine or None,
            "conforms": self.conforms,
            "checks": [
                {
                    "group": result.check.group,
                    "rule": result.check.title,
                    "state": str(result.state),
                    "found": result.found or None,
                    "advice": result.advice or None,
                }
                for result in self.results
            ],
        }

    def to_junit(self) -> str:
        """The report as JUnit XML, a test case for each check."""
        suite = ET.Element(
            "testsuite",
            name=f"hami conformance {self.plugin}",
            tests=str(len(self.results)),
            failures=str(self.count(State.BROKEN)),
            skipped=str(self.count(State.LEFT_OUT)),
        )
        for result in self.results:
            case = ET.SubElement(suite, "testcase", classname=result.check.group, name=result.check.title)
            if result.state is State.BROKEN:
                ET.SubElement(case, "failure", message=result.found).text = result.advice
            elif result.state is State.LEFT_OUT:
                ET.SubElement(case, "skipped", message=result.found)
        ET.indent(suite)
        return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def applicable(subject: Subject) -> tuple[Check, ...]:
    """The checks of what the plugin offers."""
    return tuple(check for check in CHECKS if subject.offers(check.needs))


def run_checks(subject: Subject, checks: Iterable[Check] = CHECKS) -> Report:
    """Run checks on a plugin. A failure of one never hides the others."""
    return Report(
        plugin=str(subject.source),
        machine="" if subject.machine is None else subject.machine.name,
        results=tuple(run_check(check, subject) for check in checks),
    )


def run_check(check: Check, subject: Subject) -> Result:
    """Run one check; what the plugin raises on the way is what was found."""
    if not subject.offers(check.needs):
        return Result(check=check, state=State.LEFT_OUT, found=f"needs {check.needs}")
    try:
        check.run(subject)
    except NotConforming as err:
        return Result(check=check, state=State.BROKEN, found=err.found, advice=err.advice)
    except Exception as err:  # noqa: BLE001 - a plugin may raise anything; it is a finding like any other
        frame = traceback.extract_tb(err.__traceback__)[-1]
        found = f"{type(err).__name__}: {err} (in {frame.name}, {frame.filename}:{frame.lineno})"
        return Result(check=check, state=State.BROKEN, found=found, advice=check.why)
    return Result(check=check, state=State.KEPT)
