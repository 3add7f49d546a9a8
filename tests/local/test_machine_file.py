"""A machine that is only a file, of a vendor without driver doubles."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.conformance import good_plugin

import hami_mlu
from hami_core import decide
from hami_core.errors import BadConfig
from hami_core.local.machine import simulated
from hami_core.local.node import as_node
from hami_core.local.sight import look_at
from hami_core.machine_file import read_machine
from hami_core.registry import Registry, load_registry
from hami_core.score import builtin

GOOD = Path(good_plugin.__file__).with_name("machine.json")
MLU = Path(__file__).parents[1] / "conformance" / "machines" / "mlu370x2.json"


@pytest.fixture(autouse=True)
def own_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HAMI_STATE_DIR", str(tmp_path))


def registry_of(plugin: object) -> Registry:
    return load_registry(plugins=[builtin, plugin])


def pod(limits: dict[str, object]) -> dict[str, object]:
    container = {"name": "c", "image": "x", "resources": {"limits": limits}}
    return {"kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [container]}}


def test_the_file_answers_for_the_driver() -> None:
    registry = registry_of(good_plugin)
    sight = look_at(simulated(str(GOOD), registry), registry)
    assert [(card.device.uuid, card.device.memory_mib, card.device.mode) for card in sight.cards] == [
        ("good-0", 65_536, "hami-core"),
        ("good-1", 65_536, "hami-core"),
        ("good-2", 65_536, "hami-core"),
        ("good-3", 65_536, "mig"),
    ]
    assert (sight.missing, sight.failed) == ({}, {})


def test_its_node_takes_a_pod() -> None:
    registry = registry_of(good_plugin)
    node = as_node(look_at(simulated(str(GOOD), registry), registry), registry)
    decision = decide([node], pod({"good.test/card": 1, "good.test/memory": 1000}), registry=registry)
    assert decision.node == "good4"


def test_a_node_that_the_file_describes_is_that_node() -> None:
    registry = registry_of(hami_mlu)
    node = as_node(look_at(simulated(str(MLU), registry), registry), registry)
    assert node["metadata"] == {"name": "mlu370x2", "annotations": {}, "labels": {"Model": "MLU370-X8"}}
    assert decide([node], pod({"cambricon.com/vmlu": 1}), registry=registry).node == "mlu370x2"


def test_links_and_families_come_through(tmp_path: Path) -> None:
    file = tmp_path / "m.json"
    card = {"uuid": "a", "index": 0, "model": "m", "memory_mib": 1, "family": "F", "core_units": 20}
    card["links"] = [{"peer_uuid": "b", "kind": "ring"}]
    file.write_text(json.dumps({"name": "m", "vendor": "v", "devices": [card]}), encoding="utf-8")
    (probed,) = read_machine(file).report().devices
    assert (probed.core_units, probed.custom, probed.links[0].peer_uuid) == (20, {"family": "F"}, "b")


@pytest.mark.parametrize("text", ["", "[]", '{"name": "m"}', '{"name": 1, "vendor": "v"}', "\x00"])
def test_what_is_no_machine_is_refused_with_the_files_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "m.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(BadConfig, match=r"m\.json: is not a machine file"):
        read_machine(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"none\.json: cannot be read: No such file"):
        read_machine(tmp_path / "none.json")
