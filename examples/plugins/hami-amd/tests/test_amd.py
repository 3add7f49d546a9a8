"""What is AMD's own: the register's cores, and the files of the driver."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from fake_host import lay_out, write
from hami_core import decide, load_registry
from hami_core.score import builtin
from hami_core.wire.device_config import ConfigSections

import hami_amd
from hami_amd.probe import probe_under

REGISTER = '[{"id":"GPU-1","count":4,"devmem":196592,"devcore":304,"type":"AMD Instinct MI300X OAM","health":true}]'


def allocated(limits: dict[str, object], config: str = "") -> str:
    sections = ConfigSections.parse(config) if config else ConfigSections.empty()
    registry = load_registry(sections, [builtin, hami_amd])
    node = {"kind": "Node", "metadata": {"name": "n", "annotations": {"hami.io/node-amd-register": REGISTER}}}
    container = {"name": "c", "image": "x", "resources": {"limits": limits}}
    pod: dict[str, Any] = {"kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [container]}}
    decision = decide([node], pod, registry=registry)
    assert decision.annotations.get("hami.io/amd-devices-to-allocate") == decision.annotations.get(
        "hami.io/amd-devices-allocated"
    )
    return decision.annotations.get("hami.io/amd-devices-allocated", decision.admission.message or "no room")


def test_a_request_for_a_count_alone_takes_the_whole_card() -> None:
    assert allocated({"amd.com/gpu": 1}) == "GPU-1,AMD,196592,100:;"


def test_cores_are_percent_whatever_the_card_has() -> None:
    assert allocated({"amd.com/gpu": 1, "amd.com/gpumem": 1000, "amd.com/gpucores": 30}) == "GPU-1,AMD,1000,30:;"


def test_more_than_a_card_is_refused() -> None:
    assert "amd.com/gpucores must be a whole number, 0 to 100" in allocated({"amd.com/gpu": 1, "amd.com/gpucores": 304})


def test_the_resources_can_be_renamed() -> None:
    assert allocated({"amd.com/vgpu": 1}, "amd: {resourceCountName: amd.com/vgpu}") == "GPU-1,AMD,196592,100:;"


def test_the_probe_reads_the_drivers_files(tmp_path: Path) -> None:
    lay_out(tmp_path)
    report = probe_under(tmp_path)
    first = report.devices[0]
    assert (report.driver, len(report.devices)) == ("6.12.12", 8)
    assert (first.uuid, first.model, first.memory_mib) == ("GPU-5f3a1c0de0000000", "AMD Instinct MI300X OAM", 196_592)
    assert (first.memory_used_mib, first.core_busy_percent, first.numa) == (290, 0, 0)
    assert first.custom == {"computeUnits": 304}
    assert [link.kind for link in first.links] == ["xgmi"] * 7
    assert first.links[0].peer_uuid == report.devices[1].uuid


def test_cards_of_other_vendors_and_connectors_are_no_cards(tmp_path: Path) -> None:
    lay_out(tmp_path)
    write(tmp_path / "sys/class/drm/card8/device/vendor", "0x10de")
    write(tmp_path / "sys/class/drm/card0-DP-1/status", "connected")
    assert len(probe_under(tmp_path).devices) == 8


def test_a_card_without_a_unique_id_is_named_by_its_place_on_the_bus(tmp_path: Path) -> None:
    lay_out(tmp_path)
    bus = tmp_path / "sys/devices/pci0000:00/0000:03:00.0"
    device = tmp_path / "sys/class/drm/card0/device"
    (device / "unique_id").unlink()
    bus.parent.mkdir(parents=True)
    shutil.move(device, bus)
    device.symlink_to(bus)
    assert probe_under(tmp_path).devices[0].uuid == "GPU-0000-03-00.0"


def test_a_driver_of_the_kernel_has_the_kernels_version(tmp_path: Path) -> None:
    lay_out(tmp_path)
    (tmp_path / "sys/module/amdgpu/version").unlink()
    write(tmp_path / "proc/sys/kernel/osrelease", "6.14.0-27-generic")
    assert probe_under(tmp_path).driver == "6.14.0-27-generic"


def test_without_the_driver_the_report_says_so(tmp_path: Path) -> None:
    assert "amdgpu driver is not loaded" in probe_under(tmp_path).missing


def test_a_card_that_cannot_be_read_fails_the_probe(tmp_path: Path) -> None:
    lay_out(tmp_path)
    (tmp_path / "sys/class/drm/card3/device/mem_info_vram_total").unlink()
    with pytest.raises(FileNotFoundError):
        probe_under(tmp_path)
