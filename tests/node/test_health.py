"""The health of a card: where it can go, and where it cannot."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hami_core.node.health import GOOD, VANISHED, Condition, Health, HealthRules, Kind, Sighting, overdue

RULES = HealthRules(doubt_patience_s=300, recovery_s=120)
FAULT = Sighting(kind=Kind.FAULT, note="broken")
DOUBT = Sighting(kind=Kind.DOUBT, note="no answer")

sightings = st.sampled_from([GOOD, FAULT, DOUBT])
looks = st.lists(st.tuples(sightings, st.floats(min_value=0, max_value=400)), max_size=40)


def walk(steps: list[tuple[Sighting, float]], start: Health | None = None) -> list[tuple[float, Health]]:
    now_s, health, path = 0.0, start or Health(), []
    for sighting, wait_s in steps:
        now_s += wait_s
        health = health.see(sighting, now_s, RULES)
        path.append((now_s, health))
    return path


@given(looks)
def test_a_fault_makes_a_card_unhealthy_from_anywhere(steps: list[tuple[Sighting, float]]) -> None:
    *_, (_, last) = walk([*steps, (FAULT, 1.0)])
    assert last.under is Condition.UNHEALTHY
    assert last.note == "broken"
    assert not last.usable


@given(looks)
def test_a_card_that_is_good_for_long_is_healthy_in_the_end_whatever_was_before(
    steps: list[tuple[Sighting, float]],
) -> None:
    *_, (_, last) = walk([*steps, (GOOD, 1.0), (GOOD, RULES.recovery_s), (GOOD, RULES.recovery_s)])
    assert last.under is Condition.HEALTHY
    assert not last.note


@given(looks)
def test_from_unhealthy_to_healthy_takes_the_recovery_time_without_one_bad_look(
    steps: list[tuple[Sighting, float]],
) -> None:
    broken_s = None
    for (sighting, _), (now_s, health) in zip(steps, walk(steps), strict=True):
        if health.under is Condition.UNHEALTHY:
            broken_s = now_s
        if health.under is Condition.HEALTHY and broken_s is not None:
            assert sighting.kind is Kind.GOOD
            assert now_s - broken_s >= RULES.recovery_s
            broken_s = None


@given(looks)
def test_doubts_alone_keep_a_card_usable_until_patience_ends(steps: list[tuple[Sighting, float]]) -> None:
    doubts = [(DOUBT, wait_s) for _, wait_s in steps]
    first_s = doubts[0][1] if doubts else 0
    for now_s, health in walk(doubts):
        assert health.usable == (now_s - first_s < RULES.doubt_patience_s)


@given(looks, st.booleans())
def test_a_cordon_hides_nothing_and_changes_nothing_below(steps: list[tuple[Sighting, float]], cordoned: bool) -> None:
    plain = walk(steps)
    covered = walk(steps, Health().cordon(cordoned=True))
    assert [health.cordon(cordoned=False) for _, health in covered] == [health for _, health in plain]
    assert all(health.condition is Condition.CORDONED and not health.usable for _, health in covered)


def test_a_vanished_card_is_a_fault() -> None:
    assert Health().see(VANISHED, 1.0, RULES).condition is Condition.UNHEALTHY


def test_an_xid_that_programs_cause_themselves_says_nothing_of_the_card() -> None:
    assert RULES.of_xid(31) is None
    assert RULES.of_xid(79) == Sighting(kind=Kind.FAULT, note="Xid 79")


@given(looks)
def test_a_card_is_overdue_by_the_time_since_it_was_last_healthy_or_doubted(
    steps: list[tuple[Sighting, float]],
) -> None:
    out_since_s = None
    for now_s, health in walk(steps):
        out = health.under in (Condition.UNHEALTHY, Condition.RECOVERING)
        out_since_s = None if not out else now_s if out_since_s is None else out_since_s
        due = overdue({"a": health}, now_s=now_s + 50, after_s=100)
        assert bool(due) == (out_since_s is not None and now_s + 50 - out_since_s >= 100)
