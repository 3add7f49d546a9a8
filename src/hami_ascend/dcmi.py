"""DCMI, Ascend's management library, by ctypes: what it answers of one device, as Python values.

Facts about the calls: public copies of dcmi_interface_api.h; the spelling of a die's number: Ascend/mind-cluster, whose
device plugin makes its ids of it. What the library fails to say is None, never zero.
"""

from __future__ import annotations

import ctypes
from ctypes import c_int, c_ubyte, c_uint, c_ulong, c_ulonglong
from typing import ClassVar

import attrs

from hami_core.errors import ProbeFailed
from hami_core.native_library import LibraryPlace, NativeLibrary, text_of

PLACE = LibraryPlace(
    vendor="ascend",
    names=("libdcmi.so",),
    folders=("/usr/local/dcmi", "/usr/local/Ascend/driver/lib64/driver", "/usr/local/Ascend/driver/lib64"),
)
NO_DEVICE = -8008
MEANINGS = {
    -8001: "an invalid argument",
    -8002: "no permission",
    -8005: "an internal error of the driver",
    NO_DEVICE: "no such device",
    -8012: "the device is not ready",
    -8013: "not allowed in a container",
    -8255: "not supported by this device",
}
NEEDED = ("dcmi_init", "dcmi_get_card_list", "dcmi_get_device_num_in_card", "dcmi_get_device_die_v2")

_NPU = 0  # of dcmi_unit_type; cards count their controllers, too
_VDIE = 1  # of dcmi_die_type: the die that the device plugin's ids are made of
_AI_CORE = 2  # of the kinds of utilisation
_MOST_CARDS = 64
_MOST_ERRORS = 128
_MOST_PROCESSES = 1024
_TEXT = 256
_BYTES_PER_MIB = 1024 * 1024


class _Chip(ctypes.Structure):
    _fields_: ClassVar = [
        *((name, c_ubyte * 32) for name in ("kind", "name", "version")),
        ("ai_cores", c_uint),
        ("npu_name", c_ubyte * 32),
    ]


class _Die(ctypes.Structure):
    _fields_: ClassVar = [("parts", c_uint * 5)]


class _Hbm(ctypes.Structure):
    _fields_: ClassVar = [
        ("size_mib", c_ulonglong),
        ("frequency", c_uint),
        ("used_mib", c_ulonglong),
        ("temperature", c_int),
        ("bandwidth", c_uint),
    ]


class _Ddr(ctypes.Structure):
    _fields_: ClassVar = [
        ("size_mib", c_ulonglong),
        ("available_mib", c_ulonglong),
        ("frequency", c_uint),
        *((name, c_ulong) for name in ("page_kib", "pages", "pages_free")),
        ("busy", c_uint),
        ("rest", c_ubyte * 60),
    ]


class _Pci(ctypes.Structure):
    _fields_: ClassVar = [
        *((name, c_uint) for name in ("vendor", "subsystem_vendor", "device_kind", "subsystem")),
        ("domain", c_int),
        *((name, c_uint) for name in ("bus", "device", "function")),
        ("rest", c_ubyte * 32),
    ]


class _Process(ctypes.Structure):
    _fields_: ClassVar = [("pid", c_int), ("used_bytes", c_ulong)]


@attrs.frozen
class Chip:
    """One NPU, by the card it is on and its number there."""

    library: NativeLibrary
    card: int
    number: int

    def uuid(self) -> str:
        """The die's number as Ascend's device plugin writes it; empty where the library does not say."""
        die = _Die()
        known = self._ask("dcmi_get_device_die_v2", c_int(_VDIE), ctypes.byref(die))
        return "-".join(f"{part:08X}" for part in die.parts) if known and any(die.parts) else ""

    def logical(self) -> int | None:
        """The number by which a runtime on the host knows it."""
        number = c_int()
        found = self.library.ask("dcmi_get_device_logic_id", ctypes.byref(number), c_int(self.card), c_int(self.number))
        return number.value if found and number.value >= 0 else None

    def physical(self, logical: int) -> int:
        """The number in its device node and for the container runtime; the logical one where it is not told."""
        number = c_uint()
        told = self.library.ask("dcmi_get_device_phyid_from_logicid", c_uint(logical), ctypes.byref(number))
        return number.value if told else logical

    def model(self) -> tuple[str, int | None]:
        """The chip's name and how many AI cores it has."""
        chip = _Chip()
        if self._ask("dcmi_get_device_chip_info_v2", ctypes.byref(chip)):
            return text_of(chip.name) or "unknown", chip.ai_cores or None
        # The older layout is a prefix of the newer one.
        if self._ask("dcmi_get_device_chip_info", ctypes.byref(chip)):
            return text_of(chip.name) or "unknown", chip.ai_cores or None
        return "unknown", None

    def memory(self) -> tuple[int | None, int | None]:
        """Total and used MiB: of the HBM, or of the DDR where the chip has no HBM."""
        hbm, ddr = _Hbm(), _Ddr()
        if self._ask("dcmi_get_device_hbm_info", ctypes.byref(hbm)) and hbm.size_mib:
            return hbm.size_mib, hbm.used_mib
        if self._ask("dcmi_get_device_memory_info_v3", ctypes.byref(ddr)) and ddr.size_mib:
            return ddr.size_mib, max(0, ddr.size_mib - ddr.available_mib)
        return None, None

    def busy_percent(self) -> int | None:
        """How busy the AI cores are."""
        percent = c_uint()
        known = self._ask("dcmi_get_device_utilization_rate", c_int(_AI_CORE), ctypes.byref(percent))
        return min(100, percent.value) if known else None

    def health(self) -> tuple[int | None, str]:
        """The driver's code, None where it does not tell, and the first of its errors in words."""
        code, count = c_uint(), c_int()
        errors = (c_uint * _MOST_ERRORS)()
        answer = self.library.optional("dcmi_get_device_health", *self._place(), ctypes.byref(code))
        if answer:
            return None, f"dcmi_get_device_health answered {answer}: {MEANINGS.get(answer, 'an unknown error')}"
        listing = ("dcmi_get_device_errorcode_v2", ctypes.byref(count), errors, c_uint(_MOST_ERRORS))
        if answer is None or not code.value or not self._ask(*listing) or count.value < 1:
            return (None if answer is None else code.value), ""
        text = (c_ubyte * _TEXT)()
        told = self._ask("dcmi_get_device_errorcode_string", c_uint(errors[0]), text, c_int(_TEXT))
        return code.value, f"error {errors[0]:X}" + (f": {text_of(text)}" if told and text_of(text) else "")

    def bus_id(self) -> str | None:
        """As sysfs spells it."""
        pci = _Pci()
        known = self._ask("dcmi_get_device_pcie_info_v2", ctypes.byref(pci))
        return (
            f"{pci.domain:04x}:{pci.bus:02x}:{pci.device:02x}.{pci.function:x}" if known and pci.domain >= 0 else None
        )

    def processes(self) -> dict[int, int]:
        """MiB by pid."""
        rows, count = (_Process * _MOST_PROCESSES)(), c_int()
        if not self._ask("dcmi_get_device_resource_info", rows, ctypes.byref(count)):
            return {}
        found = rows[: max(0, min(count.value, _MOST_PROCESSES))]
        return {row.pid: row.used_bytes // _BYTES_PER_MIB for row in found}

    def shared(self) -> bool | None:
        """Whether several containers may use it at once."""
        flag = c_int()
        return bool(flag.value) if self._ask("dcmi_get_device_share_enable", ctypes.byref(flag)) else None

    def _place(self) -> tuple[c_int, c_int]:
        return c_int(self.card), c_int(self.number)

    def _ask(self, function: str, *arguments: object) -> bool:
        return self.library.ask(function, *self._place(), *arguments)


def chips(library: NativeLibrary) -> list[Chip]:
    """Every NPU, card by card.

    Raises:
        ProbeFailed: the library does not list the cards, or no card's devices.
    """
    count, listed = c_int(), (c_int * _MOST_CARDS)()
    library.call("dcmi_get_card_list", ctypes.byref(count), listed, c_int(_MOST_CARDS))
    cards = listed[: max(0, min(count.value, _MOST_CARDS))]
    found = [Chip(library, card, number) for card in cards for number in range(_devices_on(library, card))]
    if cards and not found:
        raise ProbeFailed(f"{library.name} counts {len(cards)} cards and lists no device of any")
    return [chip for chip in found if _is_npu(chip)]


def driver_version(library: NativeLibrary) -> str:
    """The driver's version."""
    text = (c_ubyte * _TEXT)()
    told = library.ask("dcmi_get_driver_version", text, c_uint(_TEXT))
    return (text_of(text) if told else "") or "unknown"


def _devices_on(library: NativeLibrary, card: int) -> int:
    count = c_int()
    return count.value if library.ask("dcmi_get_device_num_in_card", c_int(card), ctypes.byref(count)) else 0


def _is_npu(chip: Chip) -> bool:
    kind = c_int(_NPU)
    chip.library.ask("dcmi_get_device_type", c_int(chip.card), c_int(chip.number), ctypes.byref(kind))
    return kind.value == _NPU
