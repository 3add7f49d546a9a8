"""Ascend: a family for each chip, templates, soft mode, rings and modules."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.vendors import admit, annotations_of, card, devices, loaded, request

import hami_ascend
from hami_core.behaviour import Candidate, FitContext
from hami_core.errors import AdmissionRefused, BadConfig, BadQuantity
from hami_core.fit import Fleet
from hami_core.model import (
    ContainerRequest,
    ContainerShares,
    DeviceRequest,
    DeviceShare,
    DeviceUse,
    Placement,
    PodRequest,
)
from hami_core.objects import NodeFacts
from hami_core.registry import load_registry
from hami_core.score import builtin
from hami_core.verdict import Fits, Reason
from hami_core.wire.device_config import ConfigSections

SOFT = {"huawei.com/vnpu-mode": "hami-core"}


def limits(word: str, count: int, memory: str = "", cores: str = "") -> dict[str, str]:
    name = f"huawei.com/{word}"
    return {name: str(count), f"{name}-memory": memory, f"{name}-core": cores}


@pytest.fixture
def chip():
    return lambda word: loaded(hami_ascend, word)


def test_seven_chips_are_built_in() -> None:
    assert tuple(load_registry(ConfigSections.empty(), [hami_ascend]).families) == (
        "Ascend310P",
        "Ascend910A",
        "Ascend910B2",
        "Ascend910B3",
        "Ascend910B4",
        "Ascend910B4-1",
        "Ascend910C",
    )


def test_a_configured_list_replaces_the_built_in_one_and_its_templates_are_sorted() -> None:
    family = loaded(
        hami_ascend,
        "Ascend9",
        """
        vnpus:
          configs:
          - chipName: "9"
            commonWord: Ascend9
            resourceName: huawei.com/Ascend9
            memoryAllocatable: 1000
            templates: [{name: big, memory: 500, aiCore: 4, aiCPU: 2}, {name: small, memory: 100}]
        """,
    ).family
    assert [(item.name, item.memory_mib, item.core_units, item.aicpu) for item in family.templates] == [
        ("small", 100, 0, 0),
        ("big", 500, 4, 2),
    ]
    assert (family.resources.memory, family.resources.cores) == (None, None)


def test_a_chip_without_memory_is_refused_with_its_place() -> None:
    with pytest.raises(BadConfig, match=r"line 1, vnpus\.configs\[0\].*memoryAllocatable"):
        loaded(hami_ascend, "X", "vnpus: {configs: [{chipName: x, commonWord: X, resourceName: huawei.com/X}]}")


def test_cards_come_from_the_json_register_with_their_ring(chip) -> None:
    sizes = '"count":4,"devmem":65536,"devcore":20'
    register = f'[{{"id":"a",{sizes},"type":"Ascend910B3","health":true,"custominfo":{{"NetworkID":1}}}}]'
    node = NodeFacts(name="n1", annotations={"hami.io/node-register-Ascend910B3": register})
    (found,) = devices(chip("Ascend910B3"), node)
    assert (found.uuid, found.core_units, found.slots, found.custom["NetworkID"]) == ("a", 20, 4, 1)
    assert devices(chip("Ascend910B2"), node) == ()


# ---- admission -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "asked", "written"),
    [
        ("Ascend910A", "1", "2184"),
        ("Ascend910A", "2184", "2184"),
        ("Ascend910A", "2185", "4369"),
        ("Ascend910A", "17476", "17476"),
        ("Ascend910A", "17477", "32768"),
        ("Ascend910A", "", "32768"),
        ("Ascend910A", "0", "32768"),
        ("Ascend310P", "12289", "21527"),
        ("Ascend310P", "24576", "21527"),
        ("Ascend910B4-1", "30000", "32768"),
    ],
)
def test_memory_is_rounded_up_to_a_template_or_a_whole_card(chip, word: str, asked: str, written: str) -> None:
    edits = admit(chip(word), limits(word, 1, asked))
    assert dict(edits.limits) == {f"huawei.com/{word}-memory": written}
    assert dict(edits.requests) == {f"huawei.com/{word}-memory": written}


def test_more_memory_than_the_card_has_is_refused_with_the_sizes(chip) -> None:
    with pytest.raises(BadQuantity, match=r"at most 24576 \(sizes are 3072, 6144, 12288, 21527\); got \"30000\""):
        admit(chip("Ascend310P"), limits("Ascend310P", 1, "30000"))


def test_parts_of_several_cards_are_refused(chip) -> None:
    with pytest.raises(AdmissionRefused, match=r"can only be whole ones; write huawei\.com/Ascend910A-memory: 32768"):
        admit(chip("Ascend910A"), limits("Ascend910A", 2, "8738"))


def test_several_whole_cards_are_admitted(chip) -> None:
    assert admit(chip("Ascend910A"), limits("Ascend910A", 2)).found


def test_cores_of_a_template_are_refused(chip) -> None:
    with pytest.raises(AdmissionRefused, match=r"-core can only be asked for in soft mode; add the annotation"):
        admit(chip("Ascend910B3"), limits("Ascend910B3", 1, "8738", "10"))


def test_no_cores_of_a_template_are_fine(chip) -> None:
    assert admit(chip("Ascend910B3"), limits("Ascend910B3", 1, "16384", "0")).found


def test_soft_mode_keeps_memory_and_cores_as_they_are(chip) -> None:
    edits = admit(chip("Ascend910B3"), limits("Ascend910B3", 1, "15360", "20"), SOFT)
    assert dict(edits.limits) == {"huawei.com/Ascend910B3-memory": "15360"}


def test_soft_mode_may_take_parts_of_several_cards(chip) -> None:
    assert admit(chip("Ascend910B3"), limits("Ascend910B3", 2, "15360"), SOFT).found


def test_one_card_of_a_module_becomes_two(chip) -> None:
    edits = admit(chip("Ascend910C"), limits("Ascend910C", 1))
    assert dict(edits.limits) == {"huawei.com/Ascend910C": "2", "huawei.com/Ascend910C-memory": "65536"}
    assert dict(edits.requests) == {"huawei.com/Ascend910C-memory": "65536"}


def test_an_odd_number_of_cards_in_modules_is_refused(chip) -> None:
    with pytest.raises(AdmissionRefused, match=r"must be 1 or an even number.*got 3 \(write 4\)"):
        admit(chip("Ascend910C"), limits("Ascend910C", 3))


def test_rounding_knows_the_memory_factor() -> None:
    family = loaded(
        hami_ascend,
        "Ascend9",
        """
        vnpus:
          configs:
          - {chipName: "9", commonWord: Ascend9, resourceName: huawei.com/Ascend9,
             resourceMemoryName: huawei.com/Ascend9-memory, memoryAllocatable: 32000, memoryFactor: 1000,
             templates: [{name: small, memory: 8000}]}
        """,
    )
    assert admit(family, limits("Ascend9", 1, "5")).limits["huawei.com/Ascend9-memory"] == "8"
    assert request(family, {"huawei.com/Ascend9": "1", "huawei.com/Ascend9-memory": "8"}).memory_mib == 8_000


def test_a_container_without_cards_sees_none_where_that_is_configured() -> None:
    config = """
        vnpus:
          configs:
          - {chipName: "9", commonWord: Ascend9, resourceName: huawei.com/Ascend9, memoryAllocatable: 1000,
             overwriteEnv: true, runtimeClassName: ascend}
        """
    family = loaded(hami_ascend, "Ascend9", config)
    edits = admit(family, {"cpu": "1"})
    assert (edits.found, dict(edits.env), edits.runtime_class) == (False, {"ASCEND_VISIBLE_DEVICES": ""}, None)
    edits = admit(family, limits("Ascend9", 1))
    assert (edits.found, dict(edits.env), edits.runtime_class) == (True, {}, "ascend")


# ---- fit -----------------------------------------------------------------------------------------------------------


def candidates(family, *cards: tuple[str, int, int | None]) -> list[Candidate]:
    return [
        Candidate(
            use=DeviceUse(
                device=card(family.family, uuid, index, custom={} if ring is None else {"NetworkID": ring}),
            ),
            share=DeviceShare(uuid=uuid),
        )
        for uuid, index, ring in cards
    ]


def chosen(family, count: int, *cards: tuple[str, int, int | None]) -> list[str]:
    asked = DeviceRequest(family=family.family.name, count=count, memory_percent=100)
    context = FitContext(pod=PodRequest(name="p"), container_index=0, node=NodeFacts(name="n1"))
    picked = family.fit.chooser(candidates(family, *cards), asked, context)
    return [candidate.share.uuid for candidate in picked]


def context(annotations: dict[str, str], **node: str) -> FitContext:
    facts = NodeFacts(name="n1", annotations={key.replace("_", "-"): value for key, value in node.items()})
    return FitContext(pod=PodRequest(name="p", annotations=annotations), container_index=0, node=facts)


def test_cards_of_the_largest_ring_are_taken_first(chip) -> None:
    cards = (("a", 0, 0), ("b", 4, 1), ("c", 5, 1), ("d", 1, 0), ("e", 6, 1))
    assert chosen(chip("Ascend910B2"), 2, *cards) == ["b", "c"]
    assert chosen(chip("Ascend910B2"), 4, *cards) == ["b", "c", "e", "a"]


def test_rings_of_equal_size_keep_the_policys_order(chip) -> None:
    assert chosen(chip("Ascend910B2"), 2, ("a", 0, 1), ("b", 4, 0), ("c", 5, 0), ("d", 1, 1)) == ["a", "d"]


def test_cards_that_name_no_ring_are_taken_in_order(chip) -> None:
    assert chosen(chip("Ascend910B2"), 2, ("a", 0, 0), ("b", 1, None), ("c", 2, 0)) == ["a", "b"]


def test_modules_are_taken_whole(chip) -> None:
    cards = (("d2", 2, 0), ("d1", 1, 0), ("d3", 3, 0), ("d0", 0, 0), ("d6", 6, 0))
    assert chosen(chip("Ascend910C"), 2, *cards) == ["d2", "d3"]
    assert chosen(chip("Ascend910C"), 4, *cards) == ["d2", "d3", "d1", "d0"]


def test_halves_of_modules_do_not_make_a_pair(chip) -> None:
    assert chosen(chip("Ascend910C"), 2, ("a", 0, None), ("b", 2, None)) == []


def test_the_place_of_cards_matters_only_where_there_are_several(chip) -> None:
    def matters(word: str, count: int) -> bool:
        asked = DeviceRequest(family=word, count=count, memory_percent=100)
        return chip(word).fit.chooses(PodRequest(name="p"), asked)

    assert [matters(word, count) for word in ("Ascend910A", "Ascend910C", "Ascend310P") for count in (1, 2)] == [
        False,
        True,
        False,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("config", "pod", "node", "reason"),
    [
        ("false", {}, {}, None),
        ("false", SOFT, {}, Reason.MODE),
        ("false", SOFT, {"hami_vnpu_core": "true"}, None),
        ("true", SOFT, {}, None),
        ("true", SOFT, {"hami_vnpu_core": "false"}, Reason.MODE),
        ("false", {}, {"hami_vnpu_core": "true"}, None),
    ],
)
def test_soft_mode_needs_a_node_that_has_it(config: str, pod: dict, node: dict, reason: Reason | None) -> None:
    family = loaded(hami_ascend, "Ascend910A", f"vnpus: {{hamiVnpuCore: {config}}}")
    asked = DeviceRequest(family="Ascend910A", count=1, memory_mib=1)
    assert family.fit.gate(asked, context(pod, **node)) is reason


def test_in_soft_mode_cores_are_a_percentage_of_the_card(chip) -> None:
    family = chip("Ascend910A")
    thirty = card(family.family, "a", core_units=30)
    assert family.fit.effective_cores(thirty, context({})) == 30
    assert family.fit.effective_cores(thirty, context(SOFT)) == 100


def test_a_node_is_worth_more_where_a_containers_cards_are_on_one_ring(chip) -> None:
    family = chip("Ascend910B2")
    uses = {item.share.uuid: item.use for item in candidates(family, ("a", 0, 0), ("b", 1, 0), ("c", 4, 1))}
    unknown = {item.share.uuid: item.use for item in candidates(family, ("a", 0, 0), ("b", 1, None), ("c", 4, 1))}

    def score(known: dict[str, DeviceUse], *containers: str) -> float:
        placement = Placement(
            node="n1",
            containers=tuple(
                ContainerShares(shares={"Ascend910B2": tuple(DeviceShare(uuid=uuid) for uuid in uuids)})
                for uuids in containers
            ),
        )
        return family.fit.node_scorer(placement, known, PodRequest(name="p"))

    assert score(uses, "ab") == 10
    assert score(uses, "ac") == 5
    assert score(uses, "ab", "", "abc") == pytest.approx(10 + 20 / 3)
    assert score(unknown, "ab") == 0


@pytest.mark.parametrize("rings", [(0, 0, 0, 1, 1, 2), (0,), (0, 0, 1, None), (None, None)])
def test_what_a_ring_adds_stays_within_the_bounds_said_before(chip, rings: tuple[int | None, ...]) -> None:
    family = chip("Ascend910B2")
    cards = candidates(family, *((f"card-{index}", index, ring) for index, ring in enumerate(rings)))
    uses, scorer = {item.share.uuid: item.use for item in cards}, family.fit.node_scorer
    layout = scorer.layout([use.device for use in uses.values()])
    for count in range(1, len(rings) + 1):
        asked = DeviceRequest(family="Ascend910B2", count=count, memory_mib=1)
        request = PodRequest(name="p", containers=(ContainerRequest(name="c", devices=(asked,)),))
        reached = set()
        for chosen in itertools.combinations(uses, count):
            shares = {"Ascend910B2": tuple(DeviceShare(uuid=uuid) for uuid in chosen)}
            reached.add(scorer(Placement(node="n1", containers=(ContainerShares(shares=shares),)), uses, request))
        least, most = scorer.bounds(layout, request, 0)
        assert least <= min(reached)
        assert max(reached) <= most
        if None not in rings:
            assert (least, most) == (min(reached), max(reached))


@given(
    st.lists(st.lists(st.integers(0, 65_536), min_size=1, max_size=6), min_size=1, max_size=4),
    st.integers(1, 4),
    st.sampled_from(["binpack", "spread"]),
    st.sampled_from(["Ascend910B3", "Ascend910C"]),
)
def test_the_chosen_node_has_the_best_score_of_all(
    taken_mib: list[list[int]], count: int, policy: str, word: str
) -> None:
    fleet = Fleet(load_registry(plugins=[builtin, hami_ascend]))
    chip = fleet.registry.families[word].family
    for number, cards in enumerate(taken_mib):
        name = f"node-{number}"
        uuids = [f"{name}-{index}" for index in range(len(cards))]
        fleet.upsert_node(
            NodeFacts(name=name),
            [
                card(chip, uuid, index, slots=4, core_units=20, custom={"NetworkID": index // 3})
                for index, uuid in enumerate(uuids)
            ],
        )
        shares = tuple(DeviceShare(uuid=uuid, memory_mib=mib) for uuid, mib in zip(uuids, cards, strict=True) if mib)
        fleet.add_pod(name, Placement(node=name, containers=(ContainerShares(shares={word: shares}),)))
    asked = DeviceRequest(family=word, count=count, memory_mib=20_000)
    request = PodRequest(name="p", containers=(ContainerRequest(name="c", devices=(asked,)),), node_policy=policy)
    choice = fleet.decide(request)
    scores = [verdict.score for verdict in choice.verdicts().values() if isinstance(verdict, Fits)]
    best = min if policy == "spread" else max
    assert (choice.best.score if choice.best else None) == best(scores, default=None)


def test_only_910_chips_have_rings(chip) -> None:
    assert chip("Ascend310P").fit.node_scorer is None


# ---- placement -----------------------------------------------------------------------------------------------------


def test_the_device_plugin_is_told_the_template_of_each_share(chip) -> None:
    family = chip("Ascend910A")
    written = annotations_of(family, [], [("a", 8_738, 1)], [], [("b", 32_768, 0)])
    assert json.loads(written["huawei.com/Ascend910A"]) == [
        {"UUID": "a", "temp": "vir08", "memory": 8738, "core": 1},
        {"UUID": "b", "memory": 32768},
    ]
    assert written["predicate-time"] == "1700000000"


def test_the_shares_are_written_without_blanks_in_a_fixed_order(chip) -> None:
    written = annotations_of(chip("Ascend910A"), [], [("a", 8_738, 1)])
    assert written["huawei.com/Ascend910A"] == '[{"UUID":"a","temp":"vir08","memory":8738,"core":1}]'


def test_a_soft_share_has_no_template(chip) -> None:
    written = annotations_of(chip("Ascend910B3"), [], [("a", 8_192, 5)], pod_annotations=SOFT)
    assert json.loads(written["huawei.com/Ascend910B3"]) == [{"UUID": "a", "memory": 8192, "core": 5}]


def test_a_pod_without_cards_gets_no_annotation(chip) -> None:
    assert annotations_of(chip("Ascend910A"), [], []) == {}
