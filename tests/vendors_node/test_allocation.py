"""What a container of each vendor gets, to the byte: others read it. HAMI_GOLDEN=write rewrites the files, for review.

`tests/golden/allocate/<vendor>/<case>.json` is what `hami_allocate` answers.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import attrs
import msgspec
import pytest

import hami_ascend
import hami_mlu
from hami_core.behaviour import AllocationContext
from hami_core.model import Device, DeviceShare
from hami_core.registry import load_registry

GOLDEN = Path(__file__).parents[1] / "golden" / "allocate"
FOLDER = Path("/usr/local/hami/containers/uid-1_main")
LIBRARY = Path("/usr/local/hami/lib/acme/0123456789abcdef/libhami_acme.so")
SOFT = {"huawei.com/vnpu-mode": "hami-core"}
DRIVER = ["/usr/local/bin/npu-smi", "/usr/local/Ascend/driver/version.info"]


@attrs.frozen(kw_only=True)
class Case:
    """A container: the shares it holds as (place of the card, MiB, cores)."""

    vendor: str
    name: str
    family: str
    shares: tuple[tuple[int, int, int], ...]
    card_mib: int
    annotations: Mapping[str, str] = attrs.field(factory=dict)
    custom: Mapping[str, object] = attrs.field(factory=dict)

    def __str__(self) -> str:
        return f"{self.vendor}-{self.name}"


MLU_NODES = {"device_nodes": ["/dev/cambricon_dev2", "/dev/cambricon_ctl", "/dev/cambricon_ipcm2"]}
CASES = (
    Case(vendor="mlu", name="share", family="MLU", shares=((3, 5120, 50),), card_mib=24_576),
    Case(
        vendor="mlu",
        name="nodes-that-were-found",
        family="MLU",
        shares=((2, 256, 1),),
        card_mib=24_576,
        custom=MLU_NODES,
    ),
    Case(vendor="mlu", name="two-cards", family="MLU", shares=((1, 24_576, 100), (0, 24_576, 100)), card_mib=24_576),
    Case(vendor="ascend", name="template", family="Ascend910B3", shares=((5, 16_384, 0),), card_mib=65_536),
    Case(
        vendor="ascend", name="template-of-an-odd-size", family="Ascend310P", shares=((0, 5_000, 0),), card_mib=21_527
    ),
    Case(
        vendor="ascend", name="soft", family="Ascend910B3", shares=((2, 6_000, 30),), card_mib=65_536, annotations=SOFT
    ),
    Case(
        vendor="ascend",
        name="whole-cards",
        family="Ascend910B3",
        shares=((4, 65_536, 0), (6, 65_536, 0)),
        card_mib=65_536,
        custom={"driver_files": DRIVER},
    ),
    Case(
        vendor="ascend",
        name="a-card-of-another-number",
        family="Ascend910C",
        shares=((1, 65_536, 0),),
        card_mib=65_536,
        custom={"physical_id": 9},
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_container_gets_exactly_this(case: Case) -> None:
    loaded = load_registry(plugins=[hami_ascend, hami_mlu]).family(case.family)
    assert loaded.allocate is not None
    cards = {
        f"card-{index}": Device(
            uuid=f"card-{index}",
            family=case.family,
            model=case.family,
            index=index,
            memory_mib=case.card_mib,
            core_units=100,
            slots=10,
            custom=dict(case.custom),
        )
        for index, _, _ in case.shares
    }
    edits = loaded.allocate(
        AllocationContext(
            shares=tuple(
                DeviceShare(uuid=f"card-{index}", memory_mib=memory_mib, core_units=cores)
                for index, memory_mib, cores in case.shares
            ),
            devices=cards,
            limits_file=FOLDER / "limits",
            region_file=FOLDER / "region",
            pod_annotations=case.annotations,
            settings={"library": LIBRARY},
        )
    )
    said = msgspec.json.format(msgspec.json.encode(msgspec.to_builtins(edits), order="sorted"), indent=2) + b"\n"
    golden = GOLDEN / case.vendor / f"{case.name}.json"
    if os.environ.get("HAMI_GOLDEN") == "write":
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_bytes(said)
    assert said == golden.read_bytes()
