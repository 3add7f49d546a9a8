"""What the NVIDIA probe reads from a machine, and what it makes of a driver that misbehaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.nvidia_fake.hosts import Host

import hami_nvidia
from hami_core.behaviour import Link, ProbeReport
from hami_core.errors import ProbeFailed
from hami_core.model import PartitionPlacement
from hami_core.probing import probe_vendor, run_probe
from hami_core.registry import load_registry
from hami_nvidia.probe import probe

HostMaker = Callable[[str | Path], Host]


def probed(host: Host, **more: str) -> ProbeReport:
    timeout_s = float(more.pop("timeout_s", "60"))
    return run_probe(probe, vendor="nvidia", environ=host.environ(**more), timeout_s=timeout_s)


def machine_with(tmp_path: Path, **device: Any) -> Path:
    """A machine of one card, with some of its entries set."""
    card = {
        "uuid": "GPU-00000000-0000-0000-0000-000000000001",
        "model": "NVIDIA Test",
        "memory_mib": 1000,
        "multiprocessors": 4,
        "compute_capability": [8, 6],
        **device,
    }
    file = tmp_path / "machine.json"
    file.write_text(json.dumps({"name": "test", "vendor": "nvidia", "devices": [card]}))
    return file


def test_cards_are_reported_with_memory_numa_and_links(host: HostMaker) -> None:
    machine = host("a40x2")
    report = probed(machine)
    first, second = report.devices
    assert (report.vendor, report.driver, report.missing) == ("nvidia", "580.82.07", "")
    assert (first.index, first.model, first.memory_mib, first.memory_used_mib) == (0, "NVIDIA A40", 46068, 0)
    assert (first.numa, second.numa) == (0, 1)
    assert (first.healthy, first.mode, first.core_units, first.core_busy_percent) == (True, "hami-core", 100, 0)
    assert first.links == (
        Link(peer_uuid=second.uuid, kind="nvlink", count=4),
        Link(peer_uuid=second.uuid, kind="cross-cpu"),
    )
    assert first.custom == {"pci_bus_id": "0000:3b:00.0"}


def test_the_plugins_probe_is_found_by_its_vendor(host: HostMaker) -> None:
    registry = load_registry(plugins=[hami_nvidia])
    report = probe_vendor(registry, "nvidia", environ=host("t4").environ(), timeout_s=60)
    assert report
    assert [device.model for device in report.devices] == ["Tesla T4"]


def test_links_through_a_switch_count_the_lanes_to_it(host: HostMaker) -> None:
    report = probed(host("h100x8"))
    assert len(report.devices) == 8
    for device in report.devices:
        nvlinks = [link for link in device.links if link.kind == "nvlink"]
        assert {link.peer_uuid for link in nvlinks} == {d.uuid for d in report.devices} - {device.uuid}
        assert {link.count for link in nvlinks} == {18}


def test_a_mig_card_offers_its_profiles_and_places(host: HostMaker) -> None:
    mig, plain = probed(host("a100-mig")).devices
    profiles = {profile.name: profile for profile in mig.profiles}
    assert (mig.mode, plain.mode, plain.profiles) == ("mig", "hami-core", ())
    assert sorted(profiles) == ["1g.10gb", "1g.5gb", "2g.10gb", "3g.20gb", "4g.20gb", "7g.40gb"]
    assert (profiles["3g.20gb"].memory_mib, profiles["3g.20gb"].core_units) == (19968, 42)
    assert profiles["3g.20gb"].placements == (
        PartitionPlacement(start=0, size=4),
        PartitionPlacement(start=4, size=4),
    )
    # NVML has no utilisation of a card in MIG mode: unknown, not idle.
    assert mig.core_busy_percent is None


def test_a_host_without_the_driver_says_what_is_missing(host: HostMaker) -> None:
    machine = host("t4")
    assert probed(machine, LD_LIBRARY_PATH="").missing == "the NVIDIA driver is not installed (no libnvidia-ml.so.1)"
    assert probed(machine, HAMI_FAKE_MACHINE="").missing == "the NVIDIA driver is not loaded"


def test_memory_that_belongs_to_the_host_is_unknown(host: HostMaker, tmp_path: Path) -> None:
    (device,) = probed(host(machine_with(tmp_path, unified_memory=True))).devices
    assert (device.memory_mib, device.memory_used_mib, device.healthy) == (None, None, True)


def test_a_question_that_fails_is_unknown_and_not_zero(host: HostMaker) -> None:
    faults = "nvmlDeviceGetUtilizationRates=999,nvmlDeviceGetName=999,nvmlDeviceGetTopologyCommonAncestor=999"
    (device, _) = probed(host("a40x2"), HAMI_FAKE_FAULTS=faults).devices
    assert (device.core_busy_percent, device.model, device.memory_mib) == (None, "unknown", 46068)
    assert [link.kind for link in device.links] == ["nvlink"]


def test_a_lost_card_is_not_healthy(host: HostMaker) -> None:
    (device,) = probed(host("t4"), HAMI_FAKE_FAULTS="nvmlDeviceGetMemoryInfo=15,nvmlDeviceGetMemoryInfo_v2=15").devices
    assert (device.healthy, device.memory_mib) == (False, None)
    assert "lost" in device.health_note.lower()


def test_a_card_that_cannot_be_named_is_left_out(host: HostMaker) -> None:
    (device,) = probed(host("a40x2"), HAMI_FAKE_FAULTS="nvmlDeviceGetHandleByIndex_v2@1=4").devices
    assert device.index == 1


def test_a_driver_that_names_no_card_has_failed(host: HostMaker) -> None:
    with pytest.raises(ProbeFailed, match="counts 2 GPUs and names none"):
        probed(host("a40x2"), HAMI_FAKE_FAULTS="nvmlDeviceGetUUID=999")


def test_a_driver_that_does_not_start_has_failed(host: HostMaker) -> None:
    with pytest.raises(ProbeFailed, match="probe of nvidia: NVML does not start"):
        probed(host("t4"), HAMI_FAKE_FAULTS="nvmlInitWithFlags=18")


def test_a_driver_that_hangs_or_crashes_takes_the_child_only(host: HostMaker) -> None:
    with pytest.raises(ProbeFailed, match="no answer within 2 s"):
        probed(host("t4"), HAMI_FAKE_FAULTS="nvmlInitWithFlags=hang", timeout_s="2")
    with pytest.raises(ProbeFailed, match="was ended by SIGSEGV"):
        probed(host("t4"), HAMI_FAKE_FAULTS="nvmlDeviceGetName=crash")


def test_the_numa_node_comes_from_sysfs_where_nvml_does_not_tell(host: HostMaker, tmp_path: Path) -> None:
    device = tmp_path / "sys" / "bus" / "pci" / "devices" / "0000:01:00.0"
    device.mkdir(parents=True)
    machine = host(machine_with(tmp_path))  # says nothing of NUMA
    code = f"""
        from pathlib import Path
        from hami_nvidia.probe import probe
        answer = probe(Path({str(tmp_path / "sys")!r})).devices[0].numa
        """
    assert machine.python(code) is None
    (device / "numa_node").write_text("3\n")
    assert machine.python(code) == 3
    (device / "numa_node").write_text("-1\n")
    assert machine.python(code) is None
