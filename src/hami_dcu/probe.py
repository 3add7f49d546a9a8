"""Reads Hygon DCUs through rocm_smi, and their compute units through hydmi. The only file that opens the driver.

What the libraries fail to say about one card is None, never zero; a card that cannot even be named is left out. Facts
about the calls: rocm_smi.h and dmi_virtual.h of Project-HAMi/dcu-dcgm (DTK's rocm_smi 2.8, hydmi 1.5); that the list of
all processes carries no amounts on DTK: a public report of a measurement on hardware.
"""

from __future__ import annotations

import contextlib
import ctypes
from ctypes import byref, c_char, c_int, c_int64, c_size_t, c_uint32, c_uint64
from pathlib import Path
from typing import Any, ClassVar

import attrs

from hami_core.behaviour import Link, ProbedDevice, ProbeReport
from hami_core.errors import ProbeFailed
from hami_core.isolation.nodes import DEVICE_NODES
from hami_core.native_library import LibraryPlace, NativeLibrary, NothingHere, Starting, text_of
from hami_core.pci import SYSFS, bus_id, drm_nodes, numa_node
from hami_core.units import MIB
from hami_dcu.paths import DRIVER_PATHS, HOST_PATHS

VENDOR = "dcu"
PLACE = LibraryPlace(
    vendor=VENDOR,
    names=("librocm_smi64.so.2", "librocm_smi64.so"),
    folders=("/opt/hyhal/lib", "/opt/dtk/rocm_smi/lib", "/opt/dtk/lib"),
)
UNITS_PLACE = LibraryPlace(vendor="dcu_dmi", names=("libhydmi.so.1", "libhydmi.so"), folders=("/opt/hyhal/lib",))

_INIT_ERROR = 8
_MEANINGS = {
    1: "an invalid argument",
    2: "not supported by this card",
    3: "a file of the driver cannot be read",
    4: "no permission",
    5: "out of memory",
    6: "an internal fault",
    7: "a value out of bounds",
    _INIT_ERROR: "the library cannot be initialised",
    9: "not implemented",
    10: "not found",
    11: "the place for the answer is too small",
    15: "no data",
    16: "data that the library did not expect",
    17: "busy",
}
_STARTING = Starting(
    driver="Hygon's driver",
    api="rocm_smi",
    needed=("rsmi_init", "rsmi_num_monitor_devices", "rsmi_dev_memory_total_get", "rsmi_dev_serial_number_get"),
    meanings=_MEANINGS,
    function="rsmi_init",
    arguments=(c_uint64(0),),
    absent={_INIT_ERROR: f"no DCU can be used: {_MEANINGS[_INIT_ERROR]}"},
)
_VRAM, _DRIVER, _UMC, _XGMI = 0, 0, 1, 2  # rsmi_memory_type_t, rsmi_sw_component_t, rsmi_gpu_block_t, RSMI_IO_LINK_TYPE
_TEXT_BYTES = 256
_MOST_PROCESSES = 4096


class _Process(ctypes.Structure):
    _fields_: ClassVar = [
        ("pid", c_uint32),
        ("pasid", c_uint32),
        ("vram_bytes", c_uint64),
        ("sdma", c_uint64),
        ("cu_percent", c_uint32),
    ]


class _Errors(ctypes.Structure):
    _fields_: ClassVar = [("corrected", c_uint64), ("uncorrected", c_uint64)]


class _Units(ctypes.Structure):
    _fields_: ClassVar = [
        ("name", c_char * 256),
        ("compute_units", c_int),
        ("memory_bytes", c_size_t),
        ("used_bytes", c_size_t),
        ("container", c_uint64),
        ("device", c_int),
    ]


def probe(root: Path = Path("/"), sysfs: Path = SYSFS) -> ProbeReport:
    """The DCUs of this host.

    Args:
        root: where ``dev`` and ``opt`` are; tells what the driver has put there.
        sysfs: where the kernel's device tree is mounted.

    Raises:
        ProbeFailed: rocm_smi is there and does not work.
    """
    try:
        library = _STARTING.start(PLACE)
    except NothingHere as err:
        return ProbeReport(vendor=VENDOR, missing=str(err))
    try:
        return _Rsmi(library=library, units=_units_library(), root=root, sysfs=sysfs).report()
    finally:
        library.ask("rsmi_shut_down")


def _units_library() -> NativeLibrary | None:
    """Hydmi; without it cards have no compute units to cut, and everything else works."""
    try:
        return UNITS_PLACE.open()
    except ProbeFailed:
        return None


def _kfd_note(root: Path) -> str:
    """Why no card can be used, or nothing."""
    kfd = root / "dev" / "kfd"
    try:
        with kfd.open("rb"):
            return ""
    except FileNotFoundError:
        return ""  # the library has found cards without it: a simulated machine
    except OSError as err:
        return f"{kfd} cannot be opened: {err.strerror}"


@attrs.frozen(kw_only=True)
class _Rsmi:
    """rocm_smi, initialised."""

    library: NativeLibrary
    units: NativeLibrary | None
    root: Path
    sysfs: Path

    def report(self) -> ProbeReport:
        count = c_uint32()
        self.library.call("rsmi_num_monitor_devices", byref(count))
        uuids = {index: uuid for index in range(count.value) if (uuid := self._uuid(index))}
        if count.value and not uuids:
            raise ProbeFailed(f"{self.library.name} counts {count.value} DCUs and names none of them")
        pids = self._pids()
        devices = tuple(self._device(index, uuids, pids) for index in uuids)
        return ProbeReport(
            vendor=VENDOR, driver=self._text("rsmi_version_str_get", c_int(_DRIVER)) or "unknown", devices=devices
        )

    def _device(self, index: int, uuids: dict[int, str], pids: tuple[int, ...]) -> ProbedDevice:
        bus = self._bus(index)
        note = _kfd_note(self.root) or self._health_note(index)
        total = self._number("rsmi_dev_memory_total_get", c_uint64, c_uint32(index), c_int(_VRAM))
        used = self._number("rsmi_dev_memory_usage_get", c_uint64, c_uint32(index), c_int(_VRAM))
        return ProbedDevice(
            uuid=uuids[index],
            index=index,
            model=self._text("rsmi_dev_name_get", c_uint32(index)) or "DCU",
            memory_mib=None if total is None else total // MIB,
            memory_used_mib=None if used is None else used // MIB,
            core_busy_percent=self._number("rsmi_dev_busy_percent_get", c_uint32, c_uint32(index)),
            process_memory_mib=self._processes(index, pids),
            numa=self._numa(index, bus),
            healthy=not note,
            health_note=note,
            links=self._links(index, uuids),
            custom=self._custom(index, bus),
        )

    def _uuid(self, index: int) -> str:
        # The serial number is what HAMi's device plugin makes its ids of.
        serial = self._text("rsmi_dev_serial_number_get", c_uint32(index))
        return f"DCU-{serial}" if serial else ""

    def _bus(self, index: int) -> str | None:
        found = self._number("rsmi_dev_pci_id_get", c_uint64, c_uint32(index))
        if found is None:
            return None
        return bus_id(found >> 32, found >> 8 & 0xFF, found >> 3 & 0x1F, found & 0x7)

    def _numa(self, index: int, bus: str | None) -> int | None:
        node = self._number("rsmi_topo_numa_affinity_get", c_uint32, c_uint32(index))
        if node is not None and node < 1 << 16:  # all ones, in some width, where there is none
            return node
        return None if bus is None else numa_node(bus, self.sysfs)

    def _health_note(self, index: int) -> str:
        errors = _Errors()
        known = self.library.ask("rsmi_dev_ecc_count_get", c_uint32(index), c_int(_UMC), byref(errors))
        if known and errors.uncorrected:
            return f"{errors.uncorrected} memory errors could not be corrected"
        return ""

    def _pids(self) -> tuple[int, ...]:
        rows = (_Process * _MOST_PROCESSES)()
        count = c_uint32(_MOST_PROCESSES)
        if not self.library.ask("rsmi_compute_process_info_get", rows, byref(count)):
            return ()
        return tuple(dict.fromkeys(row.pid for row in rows[: min(count.value, _MOST_PROCESSES)]))

    def _processes(self, index: int, pids: tuple[int, ...]) -> dict[int, int]:
        row = _Process()
        function = "rsmi_compute_process_info_by_device_get"
        found = {}
        for pid in pids:
            if self.library.ask(function, c_uint32(pid), c_uint32(index), byref(row)):
                found[pid] = row.vram_bytes // MIB
        return found

    def _links(self, index: int, uuids: dict[int, str]) -> tuple[Link, ...]:
        hops = c_uint64()
        return tuple(
            Link(peer_uuid=uuid, kind="xgmi")
            for peer, uuid in uuids.items()
            if peer != index
            and self._number("rsmi_topo_get_link_type", c_int, c_uint32(index), c_uint32(peer), byref(hops)) == _XGMI
        )

    def _custom(self, index: int, bus: str | None) -> dict[str, Any]:
        """What allocation needs: nodes, what of the driver is there, the address, how many compute units can be cut."""
        nodes = [] if bus is None else drm_nodes(bus, self.sysfs)
        # As HAMi's plugin has it: the DRM nodes count the cards in their order.
        custom: dict[str, Any] = {DEVICE_NODES: nodes or [f"/dev/dri/card{index}", f"/dev/dri/renderD{128 + index}"]}
        custom[HOST_PATHS] = [path for path in DRIVER_PATHS if (self.root / path[1:]).exists()]
        if bus is not None:
            custom["pci_bus_id"] = bus
        answer = _Units()
        with contextlib.suppress(ProbeFailed):
            if self.units is not None and self.units.ask("dmiGetDeviceInfo", c_int(index), byref(answer)):
                custom["compute_units"] = answer.compute_units
        return custom

    def _number(self, function: str, kind: type[Any], *arguments: Any) -> int | None:
        answer = kind()
        return int(answer.value) if self.library.ask(function, *arguments, byref(answer)) else None

    def _text(self, function: str, first: Any) -> str:
        buffer = ctypes.create_string_buffer(_TEXT_BYTES)
        # A size_t in one call and 32 bits in the others: in a register they are the same.
        return text_of(buffer.raw) if self.library.ask(function, first, buffer, c_int64(_TEXT_BYTES)) else ""
