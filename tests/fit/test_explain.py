"""What people read: one line per card, with the numbers behind its reason."""

from __future__ import annotations

import pytest
from tests.fit.kit import ask, card, fleet, held, pod

from hami_core.fit import Fleet
from hami_core.fit.explain import short_model
from hami_core.model import PodRequest, Selector
from hami_core.objects import NodeFacts
from hami_core.verdict import Rejected


def lines(made: Fleet, wanted: PodRequest) -> list[str]:
    verdict = made.decide(wanted).verdict("node-a")
    assert isinstance(verdict, Rejected)
    return [reason.detail for reason in verdict.devices]


def test_too_little_memory_says_what_is_asked_free_and_held_by_whom() -> None:
    made = fleet(card("GPU-3", model="GPU-A40"))
    made.add_pod("uid", held(GPU_3=(44_868, 10)), label="team-a/train")
    expected = "GPU-3 (A40): 3000 MiB asked, 1200 MiB free of 46068; held by team-a/train (44868 MiB)"
    assert lines(made, pod(ask(3000))) == [expected]


def test_the_largest_holders_are_named_and_the_rest_counted() -> None:
    made = fleet(card())
    for number in range(5):
        made.add_pod(f"uid-{number}", held(gpu_0=(1000 * (number + 1), 0)), label=f"team-a/p{number}")
    (line,) = lines(made, pod(ask(46_000)))
    assert line.endswith("held by team-a/p4 (5000 MiB), team-a/p3 (4000 MiB), team-a/p2 (3000 MiB) and 2 more")


@pytest.mark.parametrize(
    ("device", "used", "wanted", "selector", "words"),
    [
        ({}, (50_000, 0), ask(10), {}, "10 MiB asked, 0 MiB free of 46068, over-committed by 3932 MiB"),
        ({}, (10, 80), ask(cores=30), {}, "30 percent of cores asked, 20 free of 100"),
        ({"slots": 1}, (10, 0), ask(), {}, "all 1 slots taken"),
        ({}, (10, 0), ask(cores=100), {}, "wanted alone (all cores), used by 1 container"),
        ({}, (10, 100), ask(), {}, "no cores asked, but all 100 percent are booked"),
        ({}, None, ask(), {"allow_types": ("A100", "H100")}, "the pod wants A100 or H100"),
        ({}, None, ask(), {"deny_types": ("A40",)}, "the pod refuses A40"),
        ({}, None, ask(), {"deny_uuids": ("gpu-0",)}, "the pod refuses this card"),
        ({}, None, ask(), {"allow_uuids": ("gpu-9",)}, "the pod wants other cards by uuid"),
        ({"healthy": False}, None, ask(), {}, "reported unhealthy"),
    ],
)
def test_every_reason_has_its_numbers(device: dict, used: tuple, wanted, selector: dict, words: str) -> None:
    made = fleet(card(**device))
    if used:
        made.add_pod("uid", held(gpu_0=used))
    (line,) = lines(made, pod(wanted, selectors={"GPU": Selector(**selector)}))
    assert line.startswith(f"gpu-0 (A40): {words}")


def test_a_quota_says_what_it_leaves() -> None:
    made = fleet(card())
    made.set_quota("default", {"gpu.test/memory": 2000, "gpu.test/cores": 50})
    (line,) = lines(made, pod(ask(3000, cores=10)))
    assert line == (
        "gpu-0 (A40): 3000 MiB and 10 percent of cores asked, "
        "the namespace's quota leaves 2000 MiB and 50 percent of cores for the pod"
    )


@pytest.mark.parametrize(
    ("model", "family", "short"),
    [
        ("NVIDIA-NVIDIA A40", "NVIDIA", "A40"),
        ("NVIDIA A100-SXM4-80GB", "NVIDIA", "A100-SXM4-80GB"),
        ("DCU-K100_AI", "DCU", "K100_AI"),
        ("BI-V150", "BI-V150", "BI-V150"),
        ("", "MLU", "MLU"),
    ],
)
def test_a_model_is_shown_without_its_familys_name(model: str, family: str, short: str) -> None:
    assert short_model(model, family) == short


def test_a_rejection_without_details_is_that_of_the_moment_it_is_asked_for() -> None:
    made = fleet(card())
    made.upsert_node(NodeFacts(name="node-b"), [card("gpu-b", slots=1)])
    choice = made.decide(pod(ask(50_000)))
    assert str(choice.verdict("node-b", details=False)) == "1/1 CardInsufficientMemory"
    made.add_pod("other", held("node-b", gpu_b=(10, 0)))
    assert str(choice.verdict("node-b", details=False)) == "1/1 CardTimeSlicingExhausted"
    assert str(choice.verdict("node-a", details=False)) == "1/1 CardInsufficientMemory"
    made.set_quota("default", {"gpu.test/memory": 999})
    assert str(choice.verdict("node-a", details=False)) == "1/1 ResourceQuotaNotFit"


def test_without_details_a_rejection_reads_the_same_and_has_no_cards() -> None:
    choice = fleet(card(memory_mib=10)).decide(pod(ask(11)))
    short, long = choice.verdict("node-a", details=False), choice.verdict("node-a")
    assert isinstance(short, Rejected)
    assert isinstance(long, Rejected)
    assert (str(short), short.container, short.devices) == (str(long), long.container, ())
    assert choice.verdicts(details=False) == {"node-a": short}
