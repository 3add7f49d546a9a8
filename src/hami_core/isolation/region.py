"""Reads what the isolation library wrote into a container's shared region.

Every process of the container can write anything into that file, so nothing in it is believed: sizes are checked
against the file before they are used, and texts are made printable. The file is read, never mapped: a reader that maps
a file which somebody else cuts short is killed by the kernel.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import attrs

from hami_core.errors import HamiError
from hami_core.isolation.layout import Layout, layout
from hami_core.isolation.untrusted import Untrustworthy, read_untrusted

_MOST_BYTES = 256 << 20  # a region for 256 devices and 10,000 processes is smaller
_MOST_SEGMENTS = 1024
_UNLIMITED = (1 << 64) - 1
_WORD = 8


class BadRegion(HamiError):
    """A file that is not a shared region of a version this program knows, or contradicts itself."""

    def __init__(self, *, file: str, problem: str) -> None:
        self.file = file
        self.problem = problem
        super().__init__(file, problem)

    def __str__(self) -> str:
        return f"{self.file}: {self.problem}"


@attrs.frozen(kw_only=True)
class RegionProcess:
    """A process that holds a slot. Dead ones stay until the library or a host notices.

    Times are nanoseconds of the monotonic clock. `start_ticks` is field 22 of ``/proc/PID/stat``: with the pid it names
    the process for good. `management_answers` is whether the vendor's management library answers the isolation library,
    None where it was not asked yet. `device_bytes` and `class_bytes` have one entry for each device of the region.
    `owner_word` is what the slot says of its owner, `owner_offset` where in the file it says so.
    """

    pid: int
    start_ticks: int | None
    pid_namespace: int | None
    uid: int
    command: str
    attached_ns: int
    active_ns: int
    device_bytes: tuple[int, ...]
    class_bytes: tuple[Mapping[str, int], ...] = attrs.field(hash=False)
    owner_word: int = 0
    owner_offset: int = 0
    management_answers: bool | None = None


@attrs.frozen(kw_only=True)
class RegionDevice:
    """What the container did on one device. The limits are for display: those in force come from the limits file.

    `busy_ns` is device time used, `throttled_ns` the time that launches waited, summed over threads. `launched_ns` is
    the moment of the last launch on the monotonic clock, or None.
    """

    uuid: str
    memory_limit_bytes: int | None
    core_percent: int | None
    busy_ns: int
    throttled_ns: int
    refused_count: int
    launched_ns: int | None
    others_seen_ns: int | None
    others_busy_ns: int | None


@attrs.frozen(kw_only=True)
class RegionView:
    """A region at one moment, or nearly: it is written to while it is read, so sums may be some operations apart.

    `heartbeat_ns` is the library's last sign of life, or None.
    """

    version: tuple[int, int]
    created_unix_ns: int
    heartbeat_ns: int | None
    reaped_count: int
    core_policy: str
    priority: int
    devices: tuple[RegionDevice, ...]
    processes: tuple[RegionProcess, ...]

    def used_bytes(self, device: int, *, alive: Callable[[RegionProcess], bool] = lambda _process: True) -> int:
        """Memory charged on the device of this index by the processes for which `alive` holds."""
        return sum(process.device_bytes[device] for process in self.processes if alive(process))

    def used_bytes_by_class(
        self, device: int, *, alive: Callable[[RegionProcess], bool] = lambda _process: True
    ) -> dict[str, int]:
        """The same by what the memory was allocated as, for example ``buffer`` or ``context``."""
        held = [process.class_bytes[device] for process in self.processes if alive(process)]
        return {name: sum(by_class[name] for by_class in held) for name in layout().classes}


@attrs.frozen(kw_only=True)
class _Shape:
    """Sizes of this file, checked against its length."""

    head_bytes: int
    device_bytes: int
    device_count: int
    segment_bytes: int
    segment_count: int


@attrs.frozen
class _Contents:
    """A region's bytes with what is known of their form."""

    data: bytes
    described: Layout
    shape: _Shape

    def view(self) -> RegionView:
        header = self.described.records["header"]
        policies = ("default", "force", "disable")
        policy = header.read(self.data, 0, "policy")
        return RegionView(
            version=(header.read(self.data, 0, "major"), header.read(self.data, 0, "minor")),
            created_unix_ns=header.read(self.data, 0, "created_unix_ns"),
            heartbeat_ns=header.read(self.data, 0, "heartbeat_ns") or None,
            reaped_count=header.read(self.data, 0, "reaped_count"),
            core_policy=policies[policy] if policy < len(policies) else f"unknown ({policy})",
            priority=header.read(self.data, 0, "priority"),
            devices=tuple(self._device(index) for index in range(self.shape.device_count)),
            processes=tuple(self._processes()),
        )

    def _device(self, index: int) -> RegionDevice:
        record = self.described.records["device"]
        at = self.described.constants["device_offset"] + index * self.shape.device_bytes
        read = partial(record.read, self.data, at)
        limit = read("memory_limit_bytes")
        return RegionDevice(
            uuid=record.read_text(self.data, at, "uuid"),
            memory_limit_bytes=None if limit == _UNLIMITED else limit,
            core_percent=read("core_percent") or None,
            busy_ns=read("busy_ns"),
            throttled_ns=read("throttled_ns"),
            refused_count=read("refused_count"),
            launched_ns=read("launched_ns") or None,
            others_seen_ns=read("others_seen_ns") or None,
            others_busy_ns=read("others_busy_ns") or None,
        )

    def _processes(self) -> Iterator[RegionProcess]:
        constants = self.described.constants
        rows = constants["slots_per_segment"]
        state_shift = constants["owner_pid_bits"] + constants["owner_generation_bits"]
        for number in range(self.shape.segment_count):
            segment = self.shape.head_bytes + number * self.shape.segment_bytes
            for row, owner in enumerate(self._words(segment + constants["segment_owners"], rows)):
                if owner >> state_shift == constants["owner_active"]:
                    yield self._process(segment, row, owner)

    def _process(self, segment: int, row: int, owner: int) -> RegionProcess:
        constants, classes = self.described.constants, self.described.classes
        record = self.described.records["slot"]
        at = segment + constants["segment_slots"] + row * record.size
        read = partial(record.read, self.data, at)
        columns = [
            segment + constants["segment_columns"] + device * constants["column_bytes"]
            for device in range(self.shape.device_count)
        ]
        answers = {constants["management_answers"]: True, constants["management_silent"]: False}
        charged = constants["column_charged"] + _WORD * row
        by_class = constants["column_classes"] + _WORD * len(classes) * row
        return RegionProcess(
            pid=owner & ((1 << constants["owner_pid_bits"]) - 1),
            start_ticks=read("start_time") or None,
            pid_namespace=read("pid_namespace") or None,
            uid=read("uid"),
            command=record.read_text(self.data, at, "command"),
            attached_ns=read("attached_ns"),
            active_ns=read("active_ns"),
            device_bytes=tuple(self._words(column + charged, 1)[0] for column in columns),
            class_bytes=tuple(
                dict(zip(classes, self._words(column + by_class, len(classes)), strict=True)) for column in columns
            ),
            management_answers=answers.get(read("management")),
            owner_word=owner,
            owner_offset=segment + constants["segment_owners"] + _WORD * row,
        )

    def _words(self, offset: int, count: int) -> tuple[int, ...]:
        return struct.unpack_from(f"={count}Q", self.data, offset)


def read_region(path: Path) -> RegionView | None:
    """The region at `path`, or None when no process has made one yet.

    Raises:
        BadRegion: the file is something else, of another version, or damaged.
        OSError: it cannot be read.
    """
    try:
        data = read_untrusted(path, most_bytes=_MOST_BYTES, what="region")
    except Untrustworthy as err:
        raise BadRegion(file=err.file, problem=err.problem) from err
    if data is None:
        return None
    described = layout()
    header = described.records["header"]
    if len(data) < header.size:
        if not data.strip(b"\0"):
            return None  # not laid out yet
        raise BadRegion(file=str(path), problem="is too short for a region")
    magic = header.read(data, 0, "magic")
    if magic == 0:
        return None
    if magic != described.constants["magic"]:
        raise BadRegion(file=str(path), problem="is not a region")
    version = (header.read(data, 0, "major"), header.read(data, 0, "minor"))
    if version[0] != described.constants["version_major"]:
        known = described.constants["version_major"]
        raise BadRegion(file=str(path), problem=f"has layout version {version[0]}.{version[1]}; known is {known}")
    return _Contents(data, described, _shape(data, described, str(path))).view()


def _shape(data: bytes, described: Layout, file: str) -> _Shape:
    header, constants = described.records["header"], described.constants
    capacity = header.read(data, 0, "device_capacity")
    shape = _Shape(
        head_bytes=header.read(data, 0, "head_bytes"),
        device_bytes=header.read(data, 0, "device_bytes"),
        device_count=min(header.read(data, 0, "device_count"), capacity),
        segment_bytes=header.read(data, 0, "segment_bytes"),
        segment_count=header.read(data, 0, "segment_count"),
    )
    head = constants["device_offset"] + capacity * shape.device_bytes
    segment = constants["segment_columns"] + capacity * constants["column_bytes"]
    sane = (
        shape.device_bytes >= described.records["device"].size
        and shape.head_bytes >= head
        and shape.segment_bytes >= segment
        and 0 < shape.segment_count <= _MOST_SEGMENTS
        and shape.head_bytes + shape.segment_count * shape.segment_bytes <= len(data)
    )
    if not sane:
        raise BadRegion(file=file, problem="has sizes in its header that its length contradicts")
    return shape
