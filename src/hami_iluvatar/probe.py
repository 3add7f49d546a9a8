"""Reads Iluvatar cards through IXML. The only file of this plugin that opens the driver.

IXML has NVML's names with layouts of its own age, so NVIDIA's binding cannot be used. What it fails to say about one
card is None, never zero; a card that cannot even be named is left out. Facts about the calls: api.h of go-ixml, which
Deep-Spark/ix-device-plugin carries.
"""

from __future__ import annotations

import ctypes
from ctypes import byref, c_char, c_int, c_uint, c_ulonglong, c_void_p
from pathlib import Path
from typing import Any, ClassVar

import attrs

from hami_core.behaviour import Link, ProbedDevice, ProbeReport
from hami_core.errors import ProbeFailed
from hami_core.isolation.nodes import DEVICE_NODES
from hami_core.native_library import LibraryPlace, NativeLibrary, NothingHere, Starting, text_of
from hami_core.pci import LEVELS, SYSFS, bus_id, numa_node
from hami_core.units import MIB

VENDOR = "iluvatar"
CONTROL = "/dev/itrctl"
"""A node of every card's, where the driver has one."""
PLACE = LibraryPlace(vendor=VENDOR, names=("libixml.so",), folders=("/usr/local/corex/lib64", "/usr/local/corex/lib"))

_NOT_LOADED, _TOO_SMALL = 9, 7
_MEANINGS = {
    1: "not initialised",
    2: "an invalid argument",
    3: "not supported by this card",
    4: "no permission",
    6: "not found",
    _TOO_SMALL: "the place for the answer is too small",
    _NOT_LOADED: "the driver is not loaded",
    10: "a timeout",
    15: "the card is lost",
    999: "an unknown error",
}
_STARTING = Starting(
    driver="Iluvatar's driver",
    api="IXML",
    needed=("nvmlInit_v2", "nvmlDeviceGetCount_v2", "nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetUUID"),
    meanings=_MEANINGS,
    function="nvmlInit_v2",
    absent={_NOT_LOADED: "Iluvatar's driver is not loaded"},
)
_LEVEL_STEP = 10  # NVML_TOPOLOGY_INTERNAL is 0, NVML_TOPOLOGY_SYSTEM 50
_TEXT_BYTES = 96
_MOST_PROCESSES = 1024
# IXML's health bits, by the names that Iluvatar's device plugin gives them.
_HEALTH = {
    0: "system hub",
    1: "memory controller",
    2: "over temperature",
    3: "over voltage",
    4: "ECC",
    5: "memory",
    6: "PCIe",
}


class _Memory(ctypes.Structure):
    _fields_: ClassVar = [("total", c_ulonglong), ("free", c_ulonglong), ("used", c_ulonglong)]


class _Rates(ctypes.Structure):
    _fields_: ClassVar = [("core", c_uint), ("memory", c_uint)]


class _Process(ctypes.Structure):
    """The first layout, under the name that has no number."""

    _fields_: ClassVar = [("pid", c_uint), ("used_bytes", c_ulonglong)]


class _Pci(ctypes.Structure):
    _fields_: ClassVar = [
        ("bus_id_legacy", c_char * 16),
        *((name, c_uint) for name in ("domain", "bus", "device", "device_kind", "subsystem")),
        ("bus_id", c_char * 32),
    ]


def probe(root: Path = Path("/"), sysfs: Path = SYSFS) -> ProbeReport:
    """The Iluvatar cards of this host.

    Args:
        root: where ``dev`` is; tells whether the driver has its control node.
        sysfs: where the kernel's device tree is mounted; IXML does not tell the NUMA node.

    Raises:
        ProbeFailed: IXML is there and does not work.
    """
    try:
        library = _STARTING.start(PLACE)
    except NothingHere as err:
        return ProbeReport(vendor=VENDOR, missing=str(err))
    try:
        return _Ixml(library=library, root=root, sysfs=sysfs).report()
    finally:
        library.ask("nvmlShutdown")


@attrs.frozen(kw_only=True)
class _Ixml:
    """IXML, initialised."""

    library: NativeLibrary
    root: Path
    sysfs: Path

    def report(self) -> ProbeReport:
        count = c_uint()
        self.library.call("nvmlDeviceGetCount_v2", byref(count))
        cards: dict[int, tuple[c_void_p, str]] = {}
        for index in range(count.value):
            handle = c_void_p()
            if self.library.ask("nvmlDeviceGetHandleByIndex_v2", c_uint(index), byref(handle)):
                uuid = self._text("nvmlDeviceGetUUID", handle)
                cards |= {index: (handle, uuid)} if uuid else {}
        if count.value and not cards:
            raise ProbeFailed(f"{self.library.name} counts {count.value} cards and names none of them")
        peers = {uuid: handle for handle, uuid in cards.values()}
        devices = tuple(self._device(index, uuid, peers) for index, (_, uuid) in cards.items())
        return ProbeReport(vendor=VENDOR, driver=self._text("nvmlSystemGetDriverVersion") or "unknown", devices=devices)

    def _device(self, index: int, uuid: str, peers: dict[str, c_void_p]) -> ProbedDevice:
        handle = peers[uuid]
        memory, rates, pci = _Memory(), _Rates(), _Pci()
        measured = self.library.ask("nvmlDeviceGetMemoryInfo", handle, byref(memory))
        timed = self.library.ask("nvmlDeviceGetUtilizationRates", handle, byref(rates))
        placed = self.library.ask("nvmlDeviceGetPciInfo_v3", handle, byref(pci))
        bus = bus_id(pci.domain, pci.bus, pci.device) if placed else None
        note = self._health_note(handle)
        return ProbedDevice(
            uuid=uuid,
            index=index,
            model=self._text("nvmlDeviceGetName", handle) or "Iluvatar",
            memory_mib=memory.total // MIB if measured else None,
            memory_used_mib=memory.used // MIB if measured else None,
            core_busy_percent=rates.core if timed else None,
            memory_busy_percent=rates.memory if timed else None,
            process_memory_mib=self._processes(handle),
            numa=None if bus is None else numa_node(bus, self.sysfs),
            healthy=not note,
            health_note=note,
            links=self._links(uuid, peers),
            custom=self._custom(index, handle, bus),
        )

    def _health_note(self, handle: c_void_p) -> str:
        health = c_ulonglong()
        if not self.library.ask("ixmlDeviceGetHealth", handle, byref(health)) or not health.value:
            return ""
        said = [name for bit, name in _HEALTH.items() if health.value >> bit & 1]
        return f"IXML reports: {', '.join(said) or 'a fault'} (health {health.value:#x})"

    def _processes(self, handle: c_void_p) -> dict[int, int]:
        rows = (_Process * _MOST_PROCESSES)()
        count = c_uint(_MOST_PROCESSES)
        if not self.library.ask("nvmlDeviceGetComputeRunningProcesses", handle, byref(count), rows):
            return {}
        return {row.pid: row.used_bytes // MIB for row in rows[: min(count.value, _MOST_PROCESSES)]}

    def _links(self, uuid: str, peers: dict[str, c_void_p]) -> tuple[Link, ...]:
        links = []
        for peer, other in peers.items():
            level = c_int()
            asked = peer != uuid and self.library.ask(
                "nvmlDeviceGetTopologyCommonAncestor", peers[uuid], other, byref(level)
            )
            if asked and 0 <= level.value < _LEVEL_STEP * len(LEVELS):
                links.append(Link(peer_uuid=peer, kind=LEVELS[level.value // _LEVEL_STEP]))
        return tuple(links)

    def _custom(self, index: int, handle: c_void_p, bus: str | None) -> dict[str, Any]:
        minor = c_uint()
        known = self.library.ask("nvmlDeviceGetMinorNumber", handle, byref(minor))
        nodes = [f"/dev/iluvatar{minor.value if known else index}"]
        nodes += [CONTROL] if (self.root / CONTROL[1:]).exists() else []
        custom: dict[str, Any] = {DEVICE_NODES: nodes}
        return custom if bus is None else {**custom, "pci_bus_id": bus}

    def _text(self, function: str, *handle: c_void_p) -> str:
        buffer = ctypes.create_string_buffer(_TEXT_BYTES)
        return text_of(buffer.raw) if self.library.ask(function, *handle, buffer, c_uint(_TEXT_BYTES)) else ""
