from __future__ import annotations

from tests.fit.kit import ask, card, family, fleet, held, pod, registry

from hami_core.fit.advice import advise
from hami_core.model import Selector


def test_the_largest_memory_that_fits_is_offered() -> None:
    made = fleet(card(memory_mib=46_068))
    made.add_pod("other", held(gpu_0=(40_000, 0)))
    (advice,) = advise(made, pod(ask(20_000)))
    assert str(advice) == "container c0: GPU 6068 MiB instead of 20000: fits node-a"
    assert made.decide(advice.request).best == advice.best


def test_memory_is_offered_in_units_the_author_can_write() -> None:
    from hami_core.family import Units

    coarse = family("MLU", units=Units(memory_unit_mib=256))
    made = fleet(card(family="MLU", memory_mib=1000), registry=registry(families=[coarse]))
    (advice,) = advise(made, pod(ask(1024, family="MLU")))
    assert advice.change == "container c0: MLU 768 MiB instead of 1024"


def test_the_smallest_change_comes_first() -> None:
    made = fleet(card("gpu-0"), card("gpu-1", index=1))
    made.add_pod("other", held(gpu_0=(1000, 60), gpu_1=(1000, 85)))
    changes = [advice.change for advice in advise(made, pod(ask(1000, count=2, cores=20)))]
    assert changes == [
        "container c0: GPU 15 cores instead of 20",
        "container c0: GPU 1 card instead of 2",
    ]


def test_a_constraint_that_stands_in_the_way_is_named() -> None:
    made = fleet(card(model="GPU-T4"))
    wanted = pod(ask(), selectors={"GPU": Selector(allow_types=("A100",))})
    assert [advice.change for advice in advise(made, wanted)] == ["GPU: without its choice of models"]


def test_two_changes_are_offered_where_one_does_not_help() -> None:
    made = fleet(card(memory_mib=10_000))
    made.add_pod("other", held(gpu_0=(9000, 90)))
    (advice,) = advise(made, pod(ask(2000, cores=30)))
    assert advice.change == "container c0: GPU 1000 MiB instead of 2000 and 10 cores instead of 30"


def test_nothing_is_offered_where_the_pod_fits_or_nothing_helps() -> None:
    assert advise(fleet(card()), pod(ask())) == ()
    assert advise(fleet(card(healthy=False)), pod(ask(), selectors={"GPU": Selector()})) == ()


def test_a_percentage_is_answered_with_a_percentage() -> None:
    made = fleet(card(memory_mib=10_000))
    made.add_pod("other", held(gpu_0=(7000, 0)))
    (advice,) = advise(made, pod(ask(percent=50)))
    assert advice.change == "container c0: GPU 30 percent of memory instead of 50"


def test_every_constraint_is_tried_alone() -> None:
    made = fleet(card("gpu-0", numa=0, mode="mps"), card("gpu-1", index=1, numa=1, mode="mps"))
    blocked = {
        "binding to one NUMA node": (ask(count=2), Selector(numa_bind=True)),
        "its choice of cards": (ask(), Selector(deny_uuids=("gpu-0", "gpu-1"))),
        "mode hami-core": (ask(), Selector(mode="hami-core")),
    }
    for constraint, (wanted, selector) in blocked.items():
        changes = [advice.change for advice in advise(made, pod(wanted, selectors={"GPU": selector}))]
        assert f"GPU: without {constraint}" in changes


def test_no_cores_at_all_may_be_what_helps() -> None:
    made = fleet(card(core_units=0))
    (advice,) = advise(made, pod(ask(cores=10)))
    assert advice.change == "container c0: GPU no cores instead of 10"
