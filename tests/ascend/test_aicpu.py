"""AI CPUs: what a card is certain to lack is refused before the firmware refuses it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hami_ascend
from hami_ascend.aicpu import least_aicpus
from hami_core.fit import Fleet
from hami_core.model import ContainerRequest, Device, DeviceRequest, PodRequest
from hami_core.objects import NodeFacts
from hami_core.registry import Registry, load_registry
from hami_core.score import builtin
from hami_core.verdict import Fits

SIZES = ((8_192, 1), (16_384, 1), (32_768, 3))  # of the 910B2
SOFT = {"huawei.com/vnpu-mode": "hami-core"}


def card(family: str, memory_mib: int, cores: int) -> Device:
    return Device(uuid="npu-0", family=family, model=family, index=0, memory_mib=memory_mib, core_units=cores, slots=20)


def placed(registry: Registry, item: Device, memory_mib: int, annotations: dict[str, str] | None = None) -> int:
    """How many pods of so much memory fit on one card, one after the other."""
    fleet = Fleet(registry)
    fleet.upsert_node(NodeFacts(name="n1", annotations={"hami-vnpu-core": "true"}), [item])
    request = DeviceRequest(family=item.family, count=1, memory_mib=memory_mib)
    for number in range(20):
        pod = PodRequest(
            name=f"p{number}",
            containers=(ContainerRequest(name="c", devices=(request,)),),
            annotations=annotations or {},
        )
        verdict = fleet.decide(pod).verdict("n1")
        if not isinstance(verdict, Fits):
            return number
        fleet.add_pod(f"default/p{number}", verdict.placement)
    return 20


@pytest.mark.parametrize(
    ("family", "memory_mib", "size", "most"),
    [
        ("Ascend910B2", 65_536, 8_192, 6),  # eight by memory, six AI CPUs
        ("Ascend910B2", 65_536, 16_384, 4),
        ("Ascend910B2", 65_536, 32_768, 2),
        ("Ascend910B3", 65_536, 16_384, 4),
        ("Ascend310P", 21_527, 3_072, 7),
    ],
)
def test_no_more_templates_are_placed_than_a_card_has_ai_cpus_for(
    family: str, memory_mib: int, size: int, most: int
) -> None:
    registry = load_registry(plugins=[hami_ascend, builtin])
    assert placed(registry, card(family, memory_mib, 24), size) == most


def test_soft_shares_take_no_ai_cpus() -> None:
    registry = load_registry(plugins=[hami_ascend, builtin])
    assert placed(registry, card("Ascend910B2", 65_536, 100), 8_192, SOFT) == 8


@given(st.lists(st.sampled_from(SIZES), max_size=8))
def test_the_least_is_never_more_than_the_cuts_have(cuts: list[tuple[int, int]]) -> None:
    least = least_aicpus(SIZES, len(cuts), sum(size for size, _ in cuts))
    assert least is not None
    assert least <= sum(aicpus for _, aicpus in cuts)


def test_books_that_no_cut_explains_tell_nothing() -> None:
    assert least_aicpus(SIZES, 2, 9_000) is None
    assert least_aicpus(SIZES, 0, 0) == 0
