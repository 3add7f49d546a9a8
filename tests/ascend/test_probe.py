"""What the Ascend probe makes of facts that DCMI does not tell alone: rings, NUMA nodes, driver files, health."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.vendors_node.vendors import VENDORS, Host
from tests.vendors_node.vendors import host as make_host

import hami_ascend
from hami_ascend.probe import probe
from hami_core.behaviour import ProbedDevice
from hami_core.local.sight import cards_of
from hami_core.probing import run_probe
from hami_core.registry import load_registry
from hami_core.wire.device_config import ConfigSections

BUILT = Path(__file__).resolve().parents[2] / "build" / "native"
(ASCEND,) = [vendor for vendor in VENDORS if vendor.name == "ascend"]
CONFIGURED = """
vnpus:
  configs:
  - {chipName: Newest, commonWord: AscendNewest, resourceName: huawei.com/AscendNewest, memoryAllocatable: 1000}
  - {chipName: Older, commonWord: AscendOlder, resourceName: huawei.com/AscendOlder, memoryAllocatable: 1000}
"""


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setenv("HAMI_NATIVE_DIR", os.environ.get("HAMI_NATIVE_DIR", str(BUILT)))
    return make_host(ASCEND, tmp_path)


def seen(host: Host, **more: str) -> tuple[ProbedDevice, ...]:
    return run_probe(probe, vendor="ascend", environ=host.environ(**more), timeout_s=60).devices


def machine(folder: Path, count: int = 1, **card: Any) -> dict[str, str]:
    """A machine of so many equal cards."""
    cards = [
        {"uuid": f"0000000{index}-00000000-00000000-00000000-00000001", "index": index, "memory_mib": 1000, **card}
        for index in range(count)
    ]
    file = folder / f"{card['model']}.json"
    file.write_text(json.dumps({"name": "test", "vendor": "ascend", "devices": cards}))
    return {"HAMI_FAKE_MACHINE": str(file), "HAMI_FAKE_STATE": f"{file}.state"}


def test_the_910_chips_are_on_two_rings_of_four(host: Host) -> None:
    assert [card.custom["NetworkID"] for card in seen(host)] == [0, 0, 0, 0, 1, 1, 1, 1]


def test_the_cards_of_modules_are_on_one_network_and_the_310_on_none(host: Host, tmp_path: Path) -> None:
    modules = seen(host, **machine(tmp_path, 6, model="Ascend910"))
    assert {card.custom["NetworkID"] for card in modules} == {0}
    (single,) = seen(host, **machine(tmp_path, model="310P3"))
    assert "NetworkID" not in single.custom


def test_facts_of_the_card_go_with_it(host: Host) -> None:
    fifth = seen(host)[4]
    assert {name: fifth.custom[name] for name in ("physical_id", "ai_cores", "shared")} == {
        "physical_id": 4,
        "ai_cores": 20,
        "shared": True,
    }


@pytest.mark.parametrize(("code", "healthy"), [(0, True), (1, True), (2, False), (3, False), (0xFFFFFFFF, False)])
def test_a_card_serves_with_a_warning_and_not_with_an_alarm(host: Host, code: int, healthy: bool) -> None:
    host.control("hami_fake_set_health", 0, code)
    first = seen(host)[0]
    assert first.healthy is healthy
    assert bool(first.health_note) is not healthy


def test_a_sick_card_says_the_drivers_first_error(host: Host) -> None:
    host.control("hami_fake_set_health", 0, 3)
    note = seen(host)[0].health_note
    assert note == "the driver reports its health as critical (error 80E01801: simulated fault 80E01801)"


def test_a_card_whose_health_cannot_be_read_takes_nothing_new(host: Host) -> None:
    first = seen(host, HAMI_FAKE_FAULTS="dcmi_get_device_health=-8005")[0]
    assert (first.healthy, "-8005" in first.health_note) == (False, True)


def test_the_kernel_tells_the_numa_node_and_the_host_the_drivers_files(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in host.environ().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HAMI_ASCEND_LIBRARY", str(host.doubles / "libdcmi.so"))
    root = tmp_path / "root"
    for place in ("sys/bus/pci/devices/0000:81:00.0", "etc"):
        (root / place).mkdir(parents=True)
    (root / "sys/bus/pci/devices/0000:81:00.0/numa_node").write_text("3\n")
    (root / "etc/ascend_install.info").write_text("")
    first, second = probe(root).devices[:2]
    assert (first.numa, second.numa) == (3, None)
    assert first.custom["driver_files"] == ["/etc/ascend_install.info"]


def test_chips_of_the_configuration_are_found_by_the_drivers_name(host: Host, tmp_path: Path) -> None:
    report = run_probe(probe, vendor="ascend", environ=host.environ(**machine(tmp_path, model="Older")), timeout_s=60)
    registry = load_registry(ConfigSections.parse(CONFIGURED), [hami_ascend])
    assert [card.device.family for card in cards_of(report, registry)] == ["AscendOlder"]
