"""Which setting counts: the node's own before the flags, the flags before the configuration; and seen while running."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.kube.fake_api import until
from tests.kube.loop import in_loop

import hami_dcu
import hami_nvidia
from hami_core.behaviour import ProbedDevice
from hami_core.errors import BadConfig
from hami_core.family import Sharing
from hami_core.node.settings import NodeSettings
from hami_core.node.sharing import NodeSharing
from hami_core.registry import load_registry
from hami_core.wire.device_config import ConfigSections

from .world import GPU, NODE, container, world

SECTION = """
nvidia:
  deviceSplitCount: 4
  deviceMemoryScaling: 1.5
  deviceCoreScaling: 2
  disableCoreLimit: true
  preConfiguredDeviceMemory: 1000
  enableNumaTopology: true
  libCudaLogLevel: 3
"""


def family(text: str = SECTION, name: str = "NVIDIA") -> Any:
    return load_registry(ConfigSections.parse(text), plugins=[hami_nvidia, hami_dcu]).family(name).family


def write(file: Path, **entry: object) -> Path:
    file.write_text(json.dumps({"nodeconfig": [{"name": "n1", **entry}]}))
    return file


def test_the_vendors_section_counts_where_nothing_else_is_said() -> None:
    assert NodeSharing(NodeSettings(node="n1")).of(family()) == Sharing(
        split_count=4,
        memory_scaling=1.5,
        core_scaling=2.0,
        core_policy="disable",
        memory_mib=1000,
        numa=True,
        log_level=3,
    )
    assert NodeSharing(NodeSettings(node="n1")).of(family(name="DCU")) == Sharing()


def test_flags_go_before_the_section_and_the_node_before_both(tmp_path: Path) -> None:
    flags = NodeSettings(node="n1", split_count=5, memory_scaling=1.2, core_policy="force")
    told = NodeSharing(flags).of(family())
    assert (told.split_count, told.memory_scaling, told.core_scaling, told.core_policy) == (5, 1.2, 2.0, "force")
    file = write(tmp_path / "config.json", devicesplitcount=6, enablenumatopology=False, libcudaloglevel=0)
    told = NodeSharing(NodeSettings(node="n1", split_count=5, node_config=file)).of(family())
    assert (told.split_count, told.numa, told.log_level, told.memory_scaling) == (6, False, 0, 1.5)


def test_cards_are_left_out_by_uuid_and_by_number_and_no_other_vendors(tmp_path: Path) -> None:
    file = write(tmp_path / "config.json", filterdevices={"uuid": ["GPU-a"], "index": [2]})
    here = NodeSharing(NodeSettings(node="n1", node_config=file))
    cards = [
        ProbedDevice(uuid=f"GPU-{name}", index=index, model="T4", memory_mib=1) for index, name in enumerate("abc")
    ]
    assert [here.left_out(card, family()) for card in cards] == [True, False, True]
    assert not here.left_out(cards[0], family(name="DCU"))


def test_a_changed_file_counts_at_the_next_look_and_a_bad_one_leaves_what_was(tmp_path: Path) -> None:
    file = write(tmp_path / "config.json", devicesplitcount=2)
    here = NodeSharing(NodeSettings(node="n1", node_config=file))
    assert not here.follow()
    write(file, devicesplitcount=33)
    assert here.follow()
    assert here.of(family()).split_count == 33
    file.write_text("{")
    assert not here.follow()
    file.unlink()
    assert not here.follow()
    assert here.of(family()).split_count == 33


def test_a_bad_file_at_the_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="must be int >= 1"):
        NodeSharing(NodeSettings(node="n1", node_config=write(tmp_path / "config.json", devicesplitcount=0)))


@in_loop
async def test_kubelet_and_the_scheduler_see_a_change_without_a_restart(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        file = write(tmp_path / "config.json", devicesplitcount=2, devicememoryscaling=2)
        await here.start(node_config=file)
        assert len(here.kubelet.devices(GPU)) == 4
        write(file, devicesplitcount=3, filterdevices={"index": [0]})
        await here.agent.refresh()
        await until(lambda: len(here.kubelet.devices(GPU)) == 3)
        (card,) = json.loads(here.cluster.item(NODE)["metadata"]["annotations"]["hami.io/node-nvidia-register"])
        assert (card["index"], card["count"], card["devmem"]) == (1, 3, 46068)


@in_loop
async def test_a_pod_opts_out_where_the_node_allows_it_and_a_whole_card_may_opt_in(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.start()
        shares = {"part": ("off", 6000), "all": ("on", 46068)}
        seen, admissions = {}, {}
        for name, (asked, memory_mib) in shares.items():
            pod = await here.place(name, container("main", memory_mib))
            pod["metadata"]["annotations"]["hami.io/isolation"] = asked
            admissions[name] = await here.kubelet.admit("team", name, "main", GPU, 1)
            await here.kubelet.pre_start(admissions[name])
            seen[name] = "mounts" in here.edits(admissions[name])
        assert seen == {"part": True, "all": True}, "a part of a card is isolated unless the node allows otherwise"
        await here.kill()
        await here.start(opt_out=True)
        await here.kubelet.pre_start(admissions["part"])
        assert "mounts" not in here.edits(admissions["part"])
