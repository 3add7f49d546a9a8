"""Workloads to watch: folders with limits and regions as the isolation library writes them."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import attrs

from hami_core.behaviour import ProbedDevice
from hami_core.isolation.layout import layout
from hami_core.isolation.limits import DeviceLimits, LimitsFile
from hami_core.local.machine import Machine
from hami_core.local.process import describe
from hami_core.local.sight import Card, Sight
from hami_core.model import Device

MIB = 1 << 20
GPU = "GPU-a0000000-0000-0000-0000-000000000000"
_FORMATS = {"u32": "=I", "u64": "=Q", "i64": "=q"}


@attrs.frozen(kw_only=True)
class Charged:
    """A process and what it holds on the first device, by class."""

    pid: int = attrs.field(factory=os.getpid)
    start_ticks: int | None = None  # None: of the process that has this pid now
    classes: dict[str, int] = attrs.field(factory=dict)
    namespace: int = 0  # of its pid; 0: not said
    active_ns: int = 0
    management: int = 0


def limits(*devices: DeviceLimits, priority: int | None = None) -> LimitsFile:
    return LimitsFile(devices=devices or (DeviceLimits(uuid=GPU, memory_mib=1000, core_percent=30),), priority=priority)


def write_region(path: Path, *processes: Charged, uuid: str = GPU, heartbeat_ns: int = 0, **device: int) -> None:
    """A region with one device; its fields by name."""
    described = layout()
    constants, header, record = described.constants, described.records["header"], described.records["device"]
    head = constants["alignment"]
    segment_bytes = constants["alignment"]
    data = bytearray(head + segment_bytes)

    def put(name: str, offset: int, **values: int) -> None:
        for field, value in values.items():
            spec = described.records[name].fields[field]
            struct.pack_into(_FORMATS[spec["type"]], data, offset + spec["offset"], value)

    put(
        "header", 0, magic=constants["magic"], major=1, head_bytes=head, device_bytes=record.size, device_capacity=1,
        segment_bytes=segment_bytes, segment_count=1, device_count=1, heartbeat_ns=heartbeat_ns, reaped_count=2,
    )  # fmt: skip
    at = constants["device_offset"]
    data[at : at + len(uuid)] = uuid.encode()
    put("device", at, memory_limit_bytes=1000 * MIB, **device)
    shift = constants["owner_pid_bits"] + constants["owner_generation_bits"]
    for row, process in enumerate(processes):
        owner = constants["owner_active"] << shift | process.pid
        struct.pack_into("=Q", data, head + constants["segment_owners"] + 8 * row, owner)
        named = describe(process.pid)
        ticks = process.start_ticks if process.start_ticks is not None else 0 if named is None else named.start_ticks
        slot = described.records["slot"]
        put("slot", head + constants["segment_slots"] + row * slot.size, start_time=ticks,
            pid_namespace=process.namespace, active_ns=process.active_ns, management=process.management)  # fmt: skip
        column = head + constants["segment_columns"]
        charged = sum(process.classes.values())
        struct.pack_into("=Q", data, column + constants["column_charged"] + 8 * row, charged)
        for number, name in enumerate(described.classes):
            place = column + constants["column_classes"] + 8 * (row * len(described.classes) + number)
            struct.pack_into("=Q", data, place, process.classes.get(name, 0))
    assert header.size <= constants["device_offset"]
    path.write_bytes(data)


def container(root: Path, name: str = "uid-1_main", *, priority: int | None = None) -> Path:
    """A container's folder with a limits file."""
    folder = root / "containers" / name
    folder.mkdir(parents=True)
    limits(priority=priority).write(folder / "limits")
    return folder


def sight(*, used_mib: int | None = 700, node: str = "node-a", **probed: object) -> Sight:
    """What a look at a machine with one card gives."""
    values = {
        "uuid": GPU, "index": 0, "model": "NVIDIA A40", "memory_mib": 46068, "memory_used_mib": used_mib,
        "core_busy_percent": 40, **probed,
    }  # fmt: skip
    device = Device(
        uuid=str(values["uuid"]), family="NVIDIA", model="NVIDIA A40", memory_mib=46068, core_units=100, slots=10
    )
    card = Card(vendor="nvidia", probed=ProbedDevice(**values), device=device)  # type: ignore[arg-type]
    return Sight(machine=Machine(name=node, folder=Path("/nonexistent")), cards=(card,))
