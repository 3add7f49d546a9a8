"""Reads Cambricon MLUs through CNDEV. The only file of this plugin that opens the driver.

What CNDEV fails to say about one card is None, never zero; a card that cannot even be named is left out. Facts about
the calls: public copies of cndev.h (Cambricon/mlu-exporter and others); that sizes called MB are MiB, and the prefix of
a uuid: Cambricon/cambricon-k8s-device-plugin.
"""

from __future__ import annotations

import ctypes
from ctypes import c_char_p, c_int32, c_int64, c_uint8, c_uint16, c_uint32, c_uint64
from pathlib import Path
from typing import ClassVar, TypeVar

import attrs

from hami_core.behaviour import Link, ProbedDevice, ProbeReport
from hami_core.errors import ProbeFailed
from hami_core.native_library import CallFailed, LibraryPlace, NativeLibrary, NothingHere, Starting, text_of

VENDOR = "mlu"
PLACE = LibraryPlace(vendor=VENDOR, names=("libcndev.so",), folders=("/usr/local/neuware/lib64",))

_NO_DRIVER, _BAD_VERSION, _TOO_SMALL, _UNSUPPORTED, _NO_DEVICES = 1, 3, 9, 10, 12
_MEANINGS = {
    _NO_DRIVER: "the driver is not loaded",
    2: "the driver is too old for this library",
    _BAD_VERSION: "the library does not speak this version of CNDEV",
    4: "the library is not initialised",
    5: "an invalid argument",
    6: "no such device",
    7: "an unknown fault",
    8: "out of host memory",
    _TOO_SMALL: "the place for the answer is too small",
    _UNSUPPORTED: "not supported by this card",
    _NO_DEVICES: "no devices",
    13: "no permission",
    14: "not found",
}
_STARTING = Starting(
    driver="Cambricon's driver",
    api="CNDEV",
    needed=("cndevInit", "cndevGetDeviceCount", "cndevGetDeviceHandleByIndex", "cndevGetUUID", "cndevGetMemoryUsageV2"),
    meanings=_MEANINGS,
    function="cndevInit",
    arguments=(c_int32(0),),
    absent={code: f"no MLU can be used: {_MEANINGS[code]}" for code in (_NO_DRIVER, _NO_DEVICES)},
)
_VERSIONS = (6, 5)  # of the structures, newest first; their layouts here are the same
_DRIVER_RUNNING = 4
_MOST_PROCESSES = 4096
_KIB_PER_MIB = 1024
_LEVELS = {
    1: "same-board",
    2: "single-switch",
    3: "multi-switch",
    4: "host-bridge",
    5: "same-cpu",
    6: "cross-cpu",
}
_EVERY_CARD = "/dev/cambricon_ctl"
_WHERE_THERE = ("/dev/cambricon_ipcm{index}", "/dev/cambricon_gdr")  # not every driver and card has them


class _CardInfo(ctypes.Structure):
    _fields_: ClassVar = [("version", c_int32), ("number", c_uint32)]


class _Uuid(ctypes.Structure):
    _fields_: ClassVar = [("version", c_int32), ("uuid", c_uint8 * 37), ("ncs", c_uint64)]


class _Memory(ctypes.Structure):
    _fields_: ClassVar = [
        *((name, c_int64) for name in ("total", "used", "kept", "virtual_total", "virtual_used")),
        ("all", c_uint64),
        ("rest", c_uint64 * 16),
    ]


class _Utilisation(ctypes.Structure):
    _fields_: ClassVar = [("version", c_int32), ("average", c_int32), ("core", c_int32 * 80)]


class _Health(ctypes.Structure):
    _fields_: ClassVar = [("version", c_int32), ("health", c_int32), ("device", c_int32), ("driver", c_int32)]


class _Numa(ctypes.Structure):
    _fields_: ClassVar = [("version", c_int32), ("node", c_int32)]


class _Version(ctypes.Structure):
    _fields_: ClassVar = [
        ("version", c_int32),
        *((f"mcu_{part}", c_uint32) for part in ("major", "minor", "build")),
        *((f"driver_{part}", c_uint32) for part in ("major", "minor", "build")),
    ]


class _Process(ctypes.Structure):
    _fields_: ClassVar = [("version", c_int32), ("pid", c_uint32), ("used_kib", c_uint64), ("virtual_kib", c_uint64)]


class _Pci(ctypes.Structure):
    _fields_: ClassVar = [
        *((name, c_uint32) for name in ("version", "subsystem", "device_kind")),
        *((name, c_uint16) for name in ("vendor", "subsystem_vendor")),
        *((name, c_uint32) for name in ("domain", "bus", "device", "function")),
        ("slot_name", c_char_p),
        ("slot", c_int32),
    ]


class _Relation(ctypes.Structure):
    _fields_: ClassVar = [("version", c_int32), ("level", c_int32)]


T = TypeVar("T", _CardInfo, _Uuid, _Utilisation, _Health, _Numa, _Version, _Pci, _Relation)


def probe(root: Path = Path("/")) -> ProbeReport:
    """The MLUs of this host.

    Args:
        root: where ``dev`` is; tells which device nodes the driver has made.

    Raises:
        ProbeFailed: CNDEV is there and does not work.
    """
    try:
        library = _STARTING.start(PLACE)
    except NothingHere as err:
        return ProbeReport(vendor=VENDOR, missing=str(err))
    try:
        return _Cndev(library=library).report(root)
    finally:
        library.ask("cndevRelease")


@attrs.frozen
class _Cndev:
    """CNDEV, initialised."""

    library: NativeLibrary

    def report(self, root: Path) -> ProbeReport:
        count = self._need("cndevGetDeviceCount", _CardInfo).number
        handles = {index: handle for index in range(count) if (handle := self._handle(index)) is not None}
        uuids = {index: uuid for index, handle in handles.items() if (uuid := self._uuid(handle))}
        if count and not uuids:
            raise ProbeFailed(f"{self.library.name} counts {count} MLUs and names none of them")
        cards = {uuid: handles[index] for index, uuid in uuids.items()}
        devices = tuple(self._device(uuid, index, cards, root) for index, uuid in uuids.items())
        return ProbeReport(vendor=VENDOR, driver=self._driver(cards), devices=devices)

    def _device(self, uuid: str, index: int, cards: dict[str, int], root: Path) -> ProbedDevice:
        handle = cards[uuid]
        memory = _Memory()
        known = self.library.ask("cndevGetMemoryUsageV2", ctypes.byref(memory), c_int32(handle))
        busy = self._ask("cndevGetDeviceUtilizationInfo", _Utilisation, handle)
        numa = self._ask("cndevGetNUMANodeIdByDevId", _Numa, handle)
        pci = self._ask("cndevGetPCIeInfo", _Pci, handle)
        note = self._health_note(handle)
        bus = {} if pci is None else {"pci_bus_id": f"{pci.domain:04x}:{pci.bus:02x}:{pci.device:02x}.{pci.function:x}"}
        return ProbedDevice(
            uuid=uuid,
            index=index,
            model=self._model(handle),
            memory_mib=memory.total if known and memory.total > 0 else None,
            memory_used_mib=memory.used if known else None,
            core_busy_percent=None if busy is None else max(0, min(100, busy.average)),
            process_memory_mib=self._processes(handle),
            numa=None if numa is None or numa.node < 0 else numa.node,
            healthy=not note,
            health_note=note,
            links=self._links(uuid, cards),
            custom={**bus, "device_nodes": _nodes(index, root)},
        )

    def _handle(self, index: int) -> int | None:
        handle = c_int32()
        found = self.library.ask("cndevGetDeviceHandleByIndex", c_int32(index), ctypes.byref(handle))
        return handle.value if found else None

    def _uuid(self, handle: int) -> str:
        answer = self._ask("cndevGetUUID", _Uuid, handle)
        bare = "" if answer is None else text_of(answer.uuid)
        return bare if not bare or bare.startswith("MLU-") else f"MLU-{bare}"

    def _model(self, handle: int) -> str:
        if not self.library.has("cndevGetCardNameStringByDevId"):
            return "MLU"
        return text_of(self.library.text("cndevGetCardNameStringByDevId", c_int32(handle))) or "MLU"

    def _driver(self, cards: dict[str, int]) -> str:
        for handle in cards.values():
            said = self._ask("cndevGetVersionInfo", _Version, handle)
            if said is not None:
                return f"{said.driver_major}.{said.driver_minor}.{said.driver_build}"
        return "unknown"

    def _health_note(self, handle: int) -> str:
        """Why the card must not be used, or nothing."""
        try:
            state = self._need("cndevGetCardHealthState", _Health, handle)
        except CallFailed as err:
            return "" if err.code == _UNSUPPORTED else f"its health cannot be read: {err}"
        except ProbeFailed:
            return ""  # a version of the library that does not tell
        if state.health == 0 or state.device == 0:
            return "the driver reports a problem with the card"
        running = state.driver == _DRIVER_RUNNING
        return "" if running else f"its driver is not running (state {state.driver})"

    def _processes(self, handle: int) -> dict[int, int]:
        rows = (_Process * _MOST_PROCESSES)()
        for version in _VERSIONS:
            rows[0].version = version
            count = c_uint32(_MOST_PROCESSES)
            code = self.library.optional("cndevGetProcessInfo", ctypes.byref(count), rows, c_int32(handle))
            if code == 0:
                found = rows[: min(count.value, _MOST_PROCESSES)]
                return {row.pid: row.used_kib // _KIB_PER_MIB for row in found}
            if code != _BAD_VERSION:
                break
        return {}

    def _links(self, uuid: str, cards: dict[str, int]) -> tuple[Link, ...]:
        links = []
        for peer, other in cards.items():
            if peer != uuid:
                answer = self._ask("cndevTopologyGetRelationship", _Relation, cards[uuid], other)
                if answer is not None and answer.level in _LEVELS:
                    links.append(Link(peer_uuid=peer, kind=_LEVELS[answer.level]))
        return tuple(links)

    def _ask(self, function: str, kind: type[T], *handles: int) -> T | None:
        """The answer, or None when there is none."""
        try:
            return self._need(function, kind, *handles)
        except ProbeFailed:
            return None

    def _need(self, function: str, kind: type[T], *handles: int) -> T:
        """The answer, in the newest version that the library speaks.

        Raises:
            CallFailed: it answered with an error.
            FunctionMissing: it has no such function.
        """
        answer = kind()
        for version in _VERSIONS:
            answer.version = version
            try:
                self.library.call(function, ctypes.byref(answer), *map(c_int32, handles))
            except CallFailed as err:
                if err.code != _BAD_VERSION or version == _VERSIONS[-1]:
                    raise
            else:
                break
        return answer


def _nodes(index: int, root: Path) -> list[str]:
    """Device nodes of a card: those that a driver always makes, and of the others the ones that are there."""
    more = (pattern.format(index=index) for pattern in _WHERE_THERE)
    return [f"/dev/cambricon_dev{index}", _EVERY_CARD, *(node for node in more if (root / node[1:]).exists())]
