"""Same decisions as HAMi 2.10 on the recorded clusters, but for the rows of docs/parity.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.parity.differences import DIFFERENCES
from tests.parity.replay import VENDORS, Finding, Step, registry, steps

DOCUMENT = Path(__file__).parents[2] / "docs" / "parity.md"


def unexplained(step: Step) -> list[Finding]:
    return [finding for finding in step.findings if not any(rule.covers(step, finding) for rule in DIFFERENCES)]


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_recorded_decision_is_made_again_or_differs_by_a_rule(vendor: str) -> None:
    mine = [step for step in steps() if step.vendor == vendor]
    assert mine
    wrong = [f"{step.scenario} {step.pod}: {finding}" for step in mine for finding in unexplained(step)]
    assert not wrong, f"{len(wrong)} unexplained differences in {len(mine)} steps\n" + "\n".join(wrong[:5])


@pytest.mark.parametrize("rule", DIFFERENCES, ids=lambda rule: rule.id)
def test_every_rule_explains_a_difference_that_no_other_rule_explains(rule) -> None:
    assert any(
        rule.covers(step, finding)
        and not any(other.covers(step, finding) for other in DIFFERENCES if other is not rule)
        for step in steps()
        for finding in step.findings
    )


def test_every_rule_has_its_row_and_every_row_its_rule() -> None:
    section = DOCUMENT.read_text(encoding="utf-8").split("\n## ")
    (table,) = [part for part in section if part.startswith("Rules of the recorded set\n")]
    rows = re.findall(r"^\| `([a-z0-9-]+)` \|", table, flags=re.MULTILINE)
    assert sorted(rule.id for rule in DIFFERENCES) == sorted(rows)


def test_every_vendor_is_loaded_without_a_problem() -> None:
    assert [info.problem for info in registry().plugins] == [""] * (len(VENDORS) + 1)
