"""What containers get of each vendor, byte for byte as the container runtime and the driver read it.

The golden files are CDI specs, and beside them the files that a vendor's driver reads. To write them anew on purpose,
run this with HAMI_WRITE_GOLDEN=1 and read the difference.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest
from tests.vendors import card, loaded

import hami_ascend
import hami_dcu
import hami_iluvatar
import hami_mthreads
from hami_core.behaviour import AllocationContext, ContainerEdits
from hami_core.model import DeviceShare
from hami_core.node import cdi

GOLDEN = Path(__file__).parents[1] / "golden" / "allocate"
ROOT = Path("/usr/local/hami")


@attrs.frozen(kw_only=True)
class Case:
    """Shares of cards of one vendor: (card's place, MiB, core units)."""

    name: str
    plugin: ModuleType
    family: str
    cards: tuple[Mapping[str, Any], ...]
    shares: tuple[tuple[int, int, int], ...]

    def __str__(self) -> str:
        return self.name


DCUS = tuple(
    {
        "uuid": f"DCU-T{index}",
        "memory_mib": 65_520,
        "custom": {
            "device_nodes": [f"/dev/dri/card{index + 1}", f"/dev/dri/renderD{128 + index}"],
            "pci_bus_id": f"0000:{0x9F + index:02x}:00.0",
            "compute_units": 120,
            "host_paths": ["/dev/kfd", "/dev/mkfd", "/opt/hyhal"],
        },
    }
    for index in range(2)
)
ILUVATARS = tuple(
    {"uuid": f"GPU-{index}", "memory_mib": 32_768, "custom": {"device_nodes": [f"/dev/iluvatar{index}", "/dev/itrctl"]}}
    for index in range(2)
)
MTHREADS = tuple(
    {
        "uuid": f"0000-{index}",
        "memory_mib": 49_152,
        "core_units": 16,
        "custom": {"device_nodes": [f"/dev/mtgpu{index}", f"/dev/dri/card{index}", f"/dev/dri/renderD{128 + index}"]},
    }
    for index in range(2)
)
CASES = (
    Case(name="dcu-share", plugin=hami_dcu, family="DCU", cards=DCUS, shares=((1, 8000, 60),)),
    Case(name="dcu-two-cards", plugin=hami_dcu, family="DCU", cards=DCUS, shares=((0, 8000, 100), (1, 8000, 100))),
    Case(name="dcu-whole-card", plugin=hami_dcu, family="DCU", cards=DCUS, shares=((0, 65_520, 100),)),
    Case(name="iluvatar-share", plugin=hami_iluvatar, family="BI-V150", cards=ILUVATARS, shares=((1, 4096, 25),)),
    Case(
        name="iluvatar-two-cards",
        plugin=hami_iluvatar,
        family="BI-V150",
        cards=ILUVATARS,
        shares=((1, 32_768, 100), (0, 32_768, 100)),
    ),
    Case(name="mthreads-share", plugin=hami_mthreads, family="Mthreads", cards=MTHREADS, shares=((1, 8192, 4),)),
    Case(
        name="mthreads-two-cards",
        plugin=hami_mthreads,
        family="Mthreads",
        cards=MTHREADS,
        shares=((0, 49_152, 16), (1, 49_152, 16)),
    ),
)


def edits_of(case: Case, **context: Any) -> ContainerEdits:
    family = loaded(case.plugin, case.family)
    assert family.allocate is not None
    cards = [card(family.family, index=index, **facts) for index, facts in enumerate(case.cards)]
    folder = ROOT / "containers" / "u1_main" / case.family
    shares = tuple(
        DeviceShare(uuid=cards[place].uuid, memory_mib=memory_mib, core_units=core_units)
        for place, memory_mib, core_units in case.shares
    )
    return family.allocate(
        AllocationContext(
            shares=shares,
            devices={item.uuid: item for item in cards},
            limits_file=folder / "limits",
            region_file=folder / "region",
            **{"settings": {"library": ROOT / "lib" / "x" / "libhami_x.so"}, **context},
        )
    )


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_container_gets_what_the_golden_files_say(case: Case) -> None:
    edits = edits_of(case)
    made = {f"{case.name}.cdi.json": cdi.render("0123abcd", edits, pod_uid="u1").decode()}
    made |= {f"{case.name}.{Path(name).name}": text for name, text in edits.files.items()}
    if os.environ.get("HAMI_WRITE_GOLDEN"):
        for name, text in made.items():
            (GOLDEN / name).write_text(text, encoding="utf-8")
    there = {file.name: file.read_text(encoding="utf-8") for file in GOLDEN.glob(f"{case.name}.*")}
    assert there == made


@pytest.mark.parametrize("case", CASES, ids=str)
def test_without_a_library_nothing_names_one(case: Case) -> None:
    assert not [mount for mount in edits_of(case, settings={}).mounts if mount.host_path.endswith(".so")]


def test_nodes_of_cards_that_no_probe_described_are_the_usual_ones() -> None:
    bare = [attrs.evolve(case, cards=tuple({**facts, "custom": {}} for facts in case.cards)) for case in CASES]
    nodes = {case.name: [path for path, _ in edits_of(case).device_nodes] for case in bare}
    assert nodes["dcu-share"] == ["/dev/kfd", "/dev/mkfd", "/dev/dri/card1", "/dev/dri/renderD129"]
    assert nodes["iluvatar-two-cards"] == ["/dev/iluvatar1", "/dev/iluvatar0"]
    assert nodes["mthreads-share"] == ["/dev/mtgpu1"]


def test_custom_facts_of_a_wrong_kind_are_not_believed() -> None:
    (case, *_) = CASES
    facts = {"device_nodes": "/dev/dri/card7", "pci_bus_id": 7, "compute_units": "many"}
    edits = edits_of(attrs.evolve(case, cards=tuple({**item, "custom": facts} for item in case.cards)))
    assert ("/dev/dri/card1", "rw") in edits.device_nodes
    assert not edits.files


def test_cores_that_the_driver_holds_are_not_held_again() -> None:
    held = {case.name: edits_of(case).cores_elsewhere for case in CASES}
    assert {name for name, elsewhere in held.items() if elsewhere} == {"dcu-share"}
    (case,) = (case for case in CASES if case.name == "mthreads-share")
    with_module = tuple({**facts, "custom": {**facts["custom"], "sgpu_module": True}} for facts in case.cards)
    assert edits_of(attrs.evolve(case, cards=with_module)).cores_elsewhere
    cut = Case(
        name="template",
        plugin=hami_ascend,
        family="Ascend910B3",
        cards=({"uuid": "NPU-0", "memory_mib": 65_536},),
        shares=((0, 16_384, 0),),
    )
    assert edits_of(cut).cores_elsewhere
    assert not edits_of(cut, pod_annotations={"huawei.com/vnpu-mode": "hami-core"}).cores_elsewhere
