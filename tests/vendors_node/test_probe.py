"""What every vendor's probe reads from its machine, and what it makes of a library that misbehaves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hami_core.behaviour import ProbeReport
from hami_core.errors import ProbeFailed
from hami_core.probing import probe_vendor

from .vendors import CLIENT, TIMEOUT_S, VENDORS, Host


def probed(host: Host, timeout_s: float = TIMEOUT_S, **more: str) -> ProbeReport:
    report = probe_vendor(host.vendor.registry, host.vendor.name, environ=host.environ(**more), timeout_s=timeout_s)
    assert report is not None
    return report


def test_the_cards_of_the_machine_come_out_as_its_file_has_them(host: Host) -> None:
    report, written = probed(host), host.vendor.file
    assert (report.vendor, report.driver, report.missing) == (host.vendor.name, written.driver, "")
    expected = [
        (card.uuid, card.index, card.model, card.memory_mib, card.core_units) for card in written.report().devices
    ]
    seen = [(card.uuid, card.index, card.model, card.memory_mib, card.core_units) for card in report.devices]
    assert seen == expected
    if host.vendor.numa:
        assert [card.numa for card in report.devices] == [card.numa for card in written.report().devices]
    assert all(card.healthy and card.core_busy_percent == 0 for card in report.devices)
    assert not any(card.process_memory_mib for card in report.devices)


def test_links_come_out_as_the_file_has_them(host: Host) -> None:
    for card, written in zip(probed(host).devices, host.vendor.file.report().devices, strict=True):
        assert set(written.links) <= set(card.links)


def test_without_the_library_the_driver_is_said_to_be_missing(host: Host, tmp_path: Path) -> None:
    report = probed(host, LD_LIBRARY_PATH=str(tmp_path))
    assert (report.driver, report.devices) == (None, ())
    assert "not installed" in report.missing


def test_a_driver_that_is_not_loaded_is_missing_too(host: Host) -> None:
    report = probed(host, HAMI_FAKE_MACHINE="")
    assert (report.driver, report.devices) == (None, ())
    assert report.missing


@pytest.mark.parametrize("what", ["start", "count"])
def test_an_error_is_told_with_its_code_and_never_means_no_devices(host: Host, what: str) -> None:
    function, code = getattr(host.vendor, what), host.vendor.start_code
    with pytest.raises(ProbeFailed, match=rf"^probe of {host.vendor.name}: ") as refused:
        probed(host, HAMI_FAKE_FAULTS=f"{function}={code}")
    assert str(code) in str(refused.value) or "unknown" in str(refused.value).lower()


def test_cards_that_cannot_be_named_are_not_no_devices(host: Host) -> None:
    with pytest.raises(ProbeFailed, match="names none of them"):
        probed(host, HAMI_FAKE_FAULTS=f"{host.vendor.uuid}={host.vendor.start_code}")


def test_a_card_that_cannot_be_named_does_not_hide_the_others(host: Host) -> None:
    report = probed(host, HAMI_FAKE_FAULTS=f"{host.vendor.uuid}@1={host.vendor.start_code}")
    assert [card.index for card in report.devices] == [card.index for card in host.vendor.file.report().devices[1:]]


@pytest.mark.parametrize("what", ["start", "count", "uuid"])
def test_a_missing_function_is_never_no_devices(host: Host, what: str, tmp_path: Path) -> None:
    with pytest.raises(ProbeFailed):
        probed(host, LD_LIBRARY_PATH=host.without(getattr(host.vendor, what), tmp_path))


@pytest.mark.parametrize("what", ["start", "count", "uuid"])
def test_a_crash_is_told_and_ends_the_child_alone(host: Host, what: str) -> None:
    with pytest.raises(ProbeFailed, match="ended by SIGSEGV before it answered"):
        probed(host, HAMI_FAKE_FAULTS=f"{getattr(host.vendor, what)}=crash")


def test_a_hanging_library_is_given_up(host: Host) -> None:
    with pytest.raises(ProbeFailed, match="no answer within 3 s, so its driver may hang"):
        probed(host, timeout_s=3, HAMI_FAKE_FAULTS=f"{host.vendor.count}=hang")


@pytest.mark.parametrize("vendor", [vendor for vendor in VENDORS if vendor.places], ids=str, indirect=True)
def test_a_file_that_is_no_library_is_a_fault_and_not_a_missing_driver(host: Host, tmp_path: Path) -> None:
    (tmp_path / host.vendor.library).write_text("not a library")
    with pytest.raises(ProbeFailed, match="cannot be loaded"):
        probed(host, LD_LIBRARY_PATH=str(tmp_path))


def test_what_a_process_holds_and_does_is_seen(host: Host) -> None:
    command = [sys.executable, str(CLIENT), host.vendor.name, "hold", "1000"]
    holder = subprocess.Popen(command, env=host.environ(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        assert json.loads(holder.stdout.readline()) == {"code": 0}
        first, *others = probed(host).devices
    finally:
        holder.stdin.close()
        holder.wait(TIMEOUT_S)
        holder.stdout.close()
    assert first.memory_used_mib is not None
    assert first.memory_used_mib >= 1000
    assert all((card.memory_used_mib or 0) < 1000 for card in others)
    if host.vendor.processes:
        (used,) = [mib for pid, mib in first.process_memory_mib.items() if pid == holder.pid]
        assert 1000 <= used <= 1400
    assert probed(host).devices[0].process_memory_mib == {}, "it is gone"


def test_a_busy_card_says_how_busy(host: Host) -> None:
    assert host.client("busy", "200000000", "10", HAMI_FAKE_TIME_SCALE="0") == {"codes": [0]}
    busy = [card.core_busy_percent for card in probed(host).devices]
    assert busy[0] == 100
    assert not any(busy[1:])


@pytest.mark.parametrize("vendor", [vendor for vendor in VENDORS if vendor.health], ids=str, indirect=True)
def test_a_sick_card_is_told_apart_and_recovers(host: Host) -> None:
    host.control("hami_fake_set_health", 1, 2)
    sick = probed(host).devices[1]
    assert (sick.healthy, bool(sick.health_note)) == (False, True)
    assert [card.healthy for card in probed(host).devices if card.index != 1].count(False) == 0
    host.control("hami_fake_set_health", 1, 0)
    assert all(card.healthy for card in probed(host).devices)


@pytest.mark.parametrize("vendor", [vendor for vendor in VENDORS if vendor.places], ids=str, indirect=True)
def test_the_management_library_can_be_named(host: Host, tmp_path: Path) -> None:
    variable = f"HAMI_{host.vendor.name.upper()}_LIBRARY"
    elsewhere = {variable: str(host.doubles / host.vendor.library), "LD_LIBRARY_PATH": str(tmp_path)}
    assert len(probed(host, **elsewhere).devices) == len(host.vendor.file.report().devices)
    with pytest.raises(ProbeFailed, match=f"{variable} names"):
        probed(host, **{variable: str(tmp_path / "gone.so")})
