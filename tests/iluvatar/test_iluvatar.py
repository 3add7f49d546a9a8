"""Iluvatar: a family for each chip, cores summed over cards, the container's name in its environment."""

from __future__ import annotations

import pytest
from tests.vendors import admit, devices, loaded, request

import hami_iluvatar
from hami_core.errors import BadConfig, BadQuantity
from hami_core.objects import ContainerFacts, NodeFacts, PodFacts
from hami_core.registry import load_registry
from hami_core.wire.device_config import ConfigSections

COUNT, MEMORY, CORES = "iluvatar.ai/BI-V150-vgpu", "iluvatar.ai/BI-V150.vMem", "iluvatar.ai/BI-V150.vCore"


@pytest.fixture
def bi150():
    return loaded(hami_iluvatar, "BI-V150")


def test_four_chips_are_built_in() -> None:
    families = load_registry(ConfigSections.empty(), [hami_iluvatar]).families
    assert tuple(families) == ("BI-V100", "BI-V150", "MR-V100", "MR-V50")


def test_a_configured_list_replaces_the_built_in_one() -> None:
    chip = "chipName: X1, commonWord: X1, resourceCountName: i/x, resourceMemoryName: i/m, resourceCoreName: i/c"
    sections = ConfigSections.parse("iluvatars: [{" + chip + "}]")
    families = load_registry(sections, [hami_iluvatar]).families
    assert tuple(families) == ("X1",)
    assert families["X1"].family.wire.register == "hami.io/node-X1-register"


def test_a_chip_without_a_name_is_refused() -> None:
    with pytest.raises(BadConfig, match="chipName"):
        loaded(
            hami_iluvatar,
            "X1",
            "iluvatars: [{commonWord: X1, resourceCountName: a, resourceMemoryName: b, resourceCoreName: c}]",
        )


def test_each_chip_reads_its_own_register(bi150) -> None:
    register = "GPU-a,10,8192,100,BI-V150,0,true:"
    assert devices(bi150, NodeFacts(name="n1", annotations={"hami.io/node-MR-V100-register": register})) == ()
    (card,) = devices(bi150, NodeFacts(name="n1", annotations={"hami.io/node-BI-V150-register": register}))
    assert (card.uuid, card.mode, card.index) == ("GPU-a", "hami-core", 0)


def test_admission_names_the_container_in_its_environment(bi150) -> None:
    edits = admit(bi150, {COUNT: "1", CORES: "20"})
    assert (edits.found, dict(edits.limits), dict(edits.env)) == (True, {}, {"SOL_CONTINER_NAME": "c"})


def test_a_name_that_the_pods_author_wrote_stays(bi150) -> None:
    container = ContainerFacts(name="c", limits={COUNT: "1"}, env=("SOL_CONTINER_NAME",))
    edits = bi150.admit(PodFacts(name="p", containers=(container,)), container)
    assert (edits.found, dict(edits.env)) == (True, {})


def test_several_cards_are_whole_ones(bi150) -> None:
    assert dict(admit(bi150, {COUNT: "3", CORES: "20"}).limits) == {CORES: "300"}


def test_a_container_without_cards_is_left_alone(bi150) -> None:
    edits = admit(bi150, {"cpu": "1"})
    assert (edits.found, dict(edits.env)) == (False, {})


def test_cores_written_for_all_cards_are_one_cards_worth_on_each(bi150) -> None:
    asked = request(bi150, {COUNT: "3", CORES: "300", MEMORY: "4"})
    assert (asked.count, asked.core_units, asked.memory_mib) == (3, 100, 1_024)


def test_more_cores_than_the_cards_have_are_refused(bi150) -> None:
    with pytest.raises(BadQuantity, match="0 to 200"):
        request(bi150, {COUNT: "2", CORES: "201"})


def test_a_request_for_a_count_alone_has_no_core_limit(bi150) -> None:
    asked = request(bi150, {COUNT: "1"})
    assert (asked.memory_percent, asked.core_units) == (100, 0)
