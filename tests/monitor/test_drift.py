"""The books against the driver: two containers and a stranger on one card, each killed in turn."""

from __future__ import annotations

from pathlib import Path

import attrs
from tests.monitor.running import HostMaker, container_on, devices_of, holding, start

from hami_core.monitor.containers import ContainerFolders
from hami_core.monitor.devices import DeviceWatch
from hami_core.monitor.exporter import Exporter
from hami_core.monitor.monitor import Monitor

MIB = 1 << 20


@attrs.frozen
class Books:
    """A monitor, and what it exports after a look at the driver."""

    devices: DeviceWatch
    exporter: Exporter

    def values(self) -> dict[tuple[str, ...], float]:
        """By name and, for shares, pod."""
        self.devices.look()
        return {
            (sample.name, *([sample.labels["pod"]] if "pod" in sample.labels else [])): sample.value
            for family in self.exporter.collect()
            for sample in family.samples
            if sample.name.startswith(("hami_device_memory", "hami_share_memory_drift", "hami_share_memory_used"))
        }


def test_drift_is_what_a_stranger_holds_and_the_dead_hold_nothing(host: HostMaker, tmp_path: Path) -> None:
    machine = host("t4")
    devices = devices_of(machine)
    books = Books(devices, Exporter(Monitor([ContainerFolders(tmp_path, node="n")], devices)))
    one, two = (container_on(machine, tmp_path, uid, 4000) for uid in ("uid-1", "uid-2"))
    with holding(start(machine, 700), 700) as stranger:
        alone = books.values()
        strangers = alone["hami_device_memory_used_bytes",]
        assert strangers >= 700 * MIB
        assert alone["hami_device_memory_drift_bytes",] == strangers
        with holding(one.start(1500), 1500), holding(two.start(1000), 1000) as second:
            both = books.values()
            assert both["hami_device_memory_used_bytes",] >= strangers + 2500 * MIB
            assert both["hami_device_memory_drift_bytes",] == strangers
            assert both["hami_share_memory_drift_bytes", "uid-1"] == 0
            assert both["hami_share_memory_drift_bytes", "uid-2"] == 0
            second.kill()
            second.wait()
            killed = books.values()
            assert killed["hami_share_memory_used_bytes", "uid-2"] == 0
            assert killed["hami_share_memory_used_bytes", "uid-1"] == both["hami_share_memory_used_bytes", "uid-1"]
            assert killed["hami_device_memory_drift_bytes",] == strangers
            stranger.kill()
            stranger.wait()
            assert books.values()["hami_device_memory_drift_bytes",] == 0
