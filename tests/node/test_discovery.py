"""Cards as last known: a silent driver takes none away, a vanished card is unhealthy, a good one comes back."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from tests.kube.loop import in_loop

import hami_nvidia
from hami_core.behaviour import ProbedDevice, ProbeReport
from hami_core.errors import ProbeFailed
from hami_core.node import discovery
from hami_core.node.discovery import Discovery
from hami_core.node.health import Condition, HealthRules
from hami_core.node.settings import NodeSettings
from hami_core.registry import load_registry

A, B = (
    ProbedDevice(uuid=f"GPU-{name}", index=index, model="Tesla T4", memory_mib=15360) for index, name in enumerate("ab")
)
REGISTRY = load_registry(plugins=[hami_nvidia])
Answers = list[ProbeReport | ProbeFailed]


def report(*devices: ProbedDevice) -> ProbeReport:
    return ProbeReport(vendor="nvidia", driver="1", devices=devices)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """What the driver says, look after look; the last answer stays."""
    waiting: Answers = []

    def probe(*_: Any, **__: Any) -> ProbeReport:
        answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if isinstance(answer, ProbeFailed):
            raise answer
        return answer

    monkeypatch.setattr(discovery, "probe_vendor", probe)
    return waiting


def node(now: list[float] | None = None, **settings: Any) -> Discovery:
    rules = HealthRules(doubt_patience_s=300, recovery_s=120)
    clock = now or [0.0]
    return Discovery(REGISTRY, NodeSettings(node="n1", health=rules, **settings), clock=lambda: clock[0])


def healthy(here: Discovery) -> dict[str, bool]:
    return {device.uuid: device.healthy for device in here.devices}


@in_loop
async def looks(here: Discovery, count: int = 1) -> None:
    for _ in range(count):
        await here.look()


def test_a_driver_that_is_silent_takes_no_card_away(answers: Answers) -> None:
    answers += [report(A, B), ProbeFailed("it hangs")]
    here = node()
    looks(here, 2)
    assert healthy(here) == {"GPU-a": True, "GPU-b": True}
    assert here.health["GPU-a"].condition is Condition.SUSPECT
    assert here.problems == {"nvidia": "it hangs"}


def test_a_driver_that_is_silent_for_too_long_makes_its_cards_unhealthy_and_keeps_them(answers: Answers) -> None:
    answers += [report(A), ProbeFailed("it hangs")]
    now = [0.0]
    here = node(now)
    looks(here, 2)
    now[0] = 300.0
    looks(here)
    assert healthy(here) == {"GPU-a": False}


def test_a_driver_that_was_removed_is_a_doubt_and_not_an_empty_machine(answers: Answers) -> None:
    answers += [report(A), ProbeReport(vendor="nvidia", missing="no library")]
    here = node()
    looks(here, 2)
    assert here.health["GPU-a"].condition is Condition.SUSPECT


def test_a_machine_without_the_driver_has_no_cards(answers: Answers) -> None:
    answers.append(ProbeReport(vendor="nvidia", missing="no library"))
    here = node()
    looks(here)
    assert here.devices == ()


def test_a_vanished_card_stays_listed_as_unhealthy_and_comes_back_without_a_restart(answers: Answers) -> None:
    answers += [report(A, B), report(A), report(A, B)]
    now = [0.0]
    here = node(now)
    looks(here, 2)
    assert healthy(here) == {"GPU-a": True, "GPU-b": False}
    looks(here)
    assert here.health["GPU-b"].condition is Condition.RECOVERING
    now[0] = 120.0
    looks(here)
    assert healthy(here) == {"GPU-a": True, "GPU-b": True}


def test_a_card_that_its_driver_complains_of_is_unhealthy_with_the_complaint(answers: Answers) -> None:
    answers.append(report(attrs.evolve(A, healthy=False, health_note="row remapping failed")))
    here = node()
    looks(here)
    assert healthy(here) == {"GPU-a": False}
    assert here.health["GPU-a"].note == "row remapping failed"


def test_a_cordon_takes_a_card_out_and_the_end_of_it_puts_the_card_back(answers: Answers) -> None:
    answers.append(report(A, B))
    here = node()
    looks(here)
    assert [change.uuid for change in here.cordon(frozenset({"GPU-a"}))] == ["GPU-a"]
    assert healthy(here) == {"GPU-a": False, "GPU-b": True}
    assert here.cordon(frozenset({"GPU-a"})) == ()
    here.cordon(frozenset())
    assert healthy(here) == {"GPU-a": True, "GPU-b": True}


def test_cards_are_registered_split_and_scaled_under_the_familys_word(answers: Answers) -> None:
    answers.append(report(A, attrs.evolve(B, model="NVIDIA A40", mode="mig")))
    here = node(split_count=4, memory_scaling=1.5, core_scaling=2.0)
    looks(here)
    shared, cut = here.devices
    assert (shared.model, shared.slots, shared.memory_mib, shared.core_units) == ("NVIDIA-Tesla T4", 4, 23040, 200)
    assert (cut.model, cut.memory_mib, cut.core_units) == ("NVIDIA A40", 15360, 100)


def test_vendors_that_an_agent_is_not_for_are_left_to_their_own_plugins() -> None:
    every = load_registry()
    assert {"ascend", "mlu", "nvidia"} <= set(Discovery(every, NodeSettings(node="n1")).vendors)
    assert Discovery(every, NodeSettings(node="n1", vendors=("mlu",))).vendors == ("mlu",)
