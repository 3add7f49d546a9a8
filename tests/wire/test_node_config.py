"""HAMi's config.json: one node's entry, and what is wrong with a file, where."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hami_core.errors import BadConfig
from hami_core.wire.node_config import Filter, NodeEntry, load_node_config, parse_node_config

# As HAMi's chart ships it.
HAMIS = """{
  "nodeconfig": [
    {
      "name": "m5-cloudinfra-online02",
      "operatingmode": "hami-core",
      "devicememoryscaling": 1.8,
      "devicesplitcount": 10,
      "migstrategy": "none",
      "filterdevices": {
        "uuid": [],
        "index": []
      }
    }
  ]
}
"""


def test_a_file_of_hami_is_read_as_it_is() -> None:
    entry = parse_node_config(HAMIS, "m5-cloudinfra-online02")
    assert (entry.device_memory_scaling, entry.device_split_count) == (1.8, 10)
    assert entry.filter_devices == Filter(uuid=(), index=())
    assert entry.device_core_scaling is None
    assert parse_node_config(HAMIS, "another") == NodeEntry(name="another")


def test_every_setting_of_hami_has_its_place() -> None:
    full = {
        "name": "n1",
        "operatingmode": "mig",
        "devicememoryscaling": 2,
        "devicecorescaling": 0.5,
        "devicesplitcount": 4,
        "preconfigureddevicememory": 122880,
        "libcudaloglevel": 4,
        "enablenumatopology": True,
        "migstrategy": None,
        "filterdevices": {"uuid": ["GPU-a"], "index": [0, 3]},
        "enablegetpreferredallocation": False,
    }
    entry = parse_node_config(json.dumps({"nodeconfig": [full]}), "n1")
    assert entry == NodeEntry(
        name="n1",
        operating_mode="mig",
        device_memory_scaling=2.0,
        device_core_scaling=0.5,
        device_split_count=4,
        pre_configured_device_memory=122880,
        lib_cuda_log_level=4,
        enable_numa_topology=True,
        filter_devices=Filter(uuid=("GPU-a",), index=(0, 3)),
        enable_get_preferred_allocation=False,
    )


@pytest.mark.parametrize("text", ["", "{}", "null", '{"nodeconfig": null}', '{"nodeconfig": []}'])
def test_a_file_without_entries_says_nothing_of_any_node(text: str) -> None:
    assert parse_node_config(text, "n1") == NodeEntry(name="n1")


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ('{"name": "n1", "devicesplitcount": 0}', "line 2, nodeconfig[0].devicesplitcount: must be int >= 1"),
        ('{"name": "n1", "devicememoryscaling": "2"}', "nodeconfig[0].devicememoryscaling: must be float"),
        ('{"name": "n1", "devicesplitcnt": 2}', "is not a setting; did you mean devicesplitcount?"),
        ('{"name": "n1", "filterdevices": {"uuids": []}}', "filterdevices.uuids: is not a setting"),
        ('{"name": "n1", "operatingmode": "mps"}', "nodeconfig[0].operatingmode"),
        ('{"devicesplitcount": 2}', "name"),
        ('{"name": "n1"},\n{"name": "n1"}', "line 3, nodeconfig[1].name: node n1 has an entry before this one already"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(entry: str, told: str) -> None:
    with pytest.raises(BadConfig) as caught:
        parse_node_config(f'{{"nodeconfig": [\n{entry}\n]}}', "n1")
    assert told in str(caught.value)
    assert "config.json" in str(caught.value)


def test_a_wrong_top_and_a_file_that_is_not_there_are_told() -> None:
    with pytest.raises(BadConfig, match="known: nodeconfig"):
        parse_node_config('{"nodeconfigs": []}', "n1")
    with pytest.raises(BadConfig, match="cannot be read"):
        load_node_config(Path("/nowhere/config.json"), "n1")
