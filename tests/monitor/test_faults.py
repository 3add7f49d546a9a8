"""What goes wrong around a monitor costs what it touches, and never the monitor."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.monitor.world import GPU, MIB, Charged, container, limits, sight, write_region

from hami_core.local.sight import Sight
from hami_core.monitor.activity import Activity
from hami_core.monitor.containers import ContainerFolders
from hami_core.monitor.devices import DeviceWatch
from hami_core.monitor.exporter import Exporter
from hami_core.monitor.feedback import Feedback
from hami_core.monitor.monitor import Monitor
from hami_core.monitor.reaper import Reaper

HAMI = str(Path(sys.executable).with_name("hami"))
DEAD = Charged(pid=os.getpid(), start_ticks=1, classes={"buffer": 5 * MIB})


def monitor_of(root: Path, *looks: object) -> tuple[Monitor, DeviceWatch]:
    devices = DeviceWatch(looks or [sight])  # type: ignore[arg-type]
    devices.look()
    return Monitor([ContainerFolders(root, node="n")], devices, feedback=Feedback(), reaper=Reaper()), devices


def values(monitor: Monitor, name: str) -> list[float]:
    return [
        sample.value
        for family in Exporter(monitor).collect()
        for sample in family.samples
        if sample.name == name
    ]  # fmt: skip


def test_thousands_of_regions_that_nobody_cleaned_up_are_watched_and_forgotten_with_their_folders(
    tmp_path: Path,
) -> None:
    template = tmp_path / "region"
    write_region(template, DEAD, launched_ns=1, busy_ns=5)
    for number in range(2000):
        folder = tmp_path / "containers" / f"uid-{number}_main"
        folder.mkdir(parents=True)
        (folder / "limits").write_text(limits().render())
        (folder / "region").hardlink_to(template)
    monitor, _ = monitor_of(tmp_path)
    monitor.tick()
    assert values(monitor, "hami_isolation_active") == [0] * 2000
    assert values(monitor, "hami_device_memory_ledger_bytes") == [0]
    shutil.rmtree(tmp_path / "containers")
    monitor.tick()
    assert values(monitor, "hami_isolation_active") == []
    assert monitor.failed_looks == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(length=st.integers(0, 140_000))
def test_a_region_that_is_cut_to_any_length_while_it_is_watched_costs_its_own_numbers(
    tmp_path: Path, length: int
) -> None:
    shutil.rmtree(tmp_path / "containers", ignore_errors=True)
    region = container(tmp_path) / "region"
    write_region(region, Charged(classes={"buffer": 7 * MIB}))
    write_region(container(tmp_path, "uid-2_main") / "region", Charged(classes={"buffer": 3 * MIB}))
    monitor, _ = monitor_of(tmp_path)
    monitor.tick()
    os.truncate(region, length)
    monitor.tick()
    cut, whole = values(monitor, "hami_share_memory_used_bytes")
    assert cut in (0, 7 * MIB)
    assert whole == 3 * MIB


def test_a_clock_that_is_set_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    region = container(tmp_path) / "region"
    write_region(region, Charged(), busy_ns=1, heartbeat_ns=time.monotonic_ns())
    monitor, _ = monitor_of(tmp_path)
    monitor.tick()
    monkeypatch.setattr(time, "time", lambda: -(10.0**9))
    monkeypatch.setattr(time, "time_ns", lambda: 10**20)
    write_region(region, Charged(), busy_ns=2, heartbeat_ns=time.monotonic_ns())
    monitor.tick()
    (ratio,) = values(monitor, "hami_share_utilization_ratio")
    assert 0 < ratio < 1
    assert 0 <= values(monitor, "hami_isolation_heartbeat_age_seconds")[0] < 3600


def test_moments_in_the_future_are_no_work_and_no_negative_age(tmp_path: Path) -> None:
    region = container(tmp_path) / "region"
    write_region(region, Charged(), busy_ns=1 << 63, launched_ns=(1 << 64) - 1, heartbeat_ns=(1 << 64) - 1)
    monitor, _ = monitor_of(tmp_path)
    monitor.tick()
    write_region(region, Charged(), busy_ns=0, launched_ns=(1 << 64) - 1, heartbeat_ns=(1 << 64) - 1)
    monitor.tick()
    assert values(monitor, "hami_share_utilization_ratio") == [0], "device time that shrinks is damage"
    assert values(monitor, "hami_share_idle_seconds") == [0]
    assert values(monitor, "hami_isolation_heartbeat_age_seconds") == [0]


def test_a_clock_that_goes_back_is_no_use_of_a_device(tmp_path: Path) -> None:
    write_region(container(tmp_path) / "region", Charged(), busy_ns=1)
    workloads = ContainerFolders(tmp_path, node="n").look()
    activity = Activity()
    activity.update(workloads, now_ns=10**12)
    (reading,) = activity.update(workloads, now_ns=10**11).values()
    assert reading.busy_ratio == 0


def test_while_a_driver_hangs_a_scrape_has_the_devices_of_the_last_answer(tmp_path: Path) -> None:
    asked, released = threading.Event(), threading.Event()

    def look() -> Sight:
        if devices.now().devices:
            asked.set()
            released.wait()
        return sight()

    devices = DeviceWatch([look])
    devices.look()
    monitor = Monitor([ContainerFolders(tmp_path, node="n")], devices)
    looking = threading.Thread(target=devices.look)
    looking.start()
    asked.wait()
    assert values(monitor, "hami_device_memory_total_bytes") == [46068 * MIB]
    released.set()
    looking.join()


def test_a_host_that_can_start_no_child_keeps_its_devices_and_says_so(tmp_path: Path) -> None:
    sights = [sight()]

    def look() -> Sight:
        if not sights:
            raise BlockingIOError("no process is left")
        return sights.pop()

    monitor, devices = monitor_of(tmp_path, look)
    devices.look()
    assert values(monitor, "hami_device_memory_total_bytes") == [46068 * MIB]
    assert 0 in values(monitor, "hami_monitor_probe_up")
    assert GPU in str(devices.now().devices)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_monitor_whose_driver_hangs_answers_and_ends_and_leaves_nothing_running(
    tmp_path: Path, number: signal.Signals
) -> None:
    words = [HAMI, "monitor", "--simulate", "t4", "--metrics-bind-address", "127.0.0.1:0"]
    environ = {**os.environ, "HAMI_STATE_DIR": str(tmp_path), "HAMI_FAKE_FAULTS": "nvmlInitWithFlags=hang"}
    with subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, text=True) as monitor:
        assert monitor.stdout is not None
        url = monitor.stdout.readline().split()[-1]
        while not (children := children_of(monitor.pid)):
            time.sleep(0.05)
        with urllib.request.urlopen(url) as answer:
            assert "hami_monitor_workloads 0.0" in answer.read().decode()
        monitor.send_signal(number)
        assert monitor.wait() == (-number if number == signal.SIGKILL else 128 + number)
    while any(map(runs, children)):
        time.sleep(0.05)


def children_of(pid: int) -> list[int]:
    """Of all its threads."""
    found = [task.read_text(encoding="ascii").split() for task in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(child) for each in found for child in each]


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
