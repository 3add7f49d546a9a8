"""Reads Ascend NPUs through DCMI (`hami_ascend.dcmi`), as HAMi's device plugin registers them.

A device that cannot even be named is left out. Facts: wire contract section 4.5 (ids, rings); the health codes: DCMI's
documentation, 0 well, 1 warning, 2 alarm, 3 critical; above a warning a card takes no new containers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hami_ascend.dcmi import MEANINGS, NEEDED, NO_DEVICE, PLACE, Chip, chips, driver_version
from hami_core.behaviour import ProbedDevice, ProbeReport
from hami_core.errors import ProbeFailed
from hami_core.native_library import NothingHere, Starting

VENDOR = "ascend"

_WARNING = 1
_HEALTH = {2: "alarm", 3: "critical"}
_RING_OF_FOUR = 4
_MODULES = "Ascend910"  # the 910C, whose cards are all on one network
_STARTING = Starting(
    driver="Ascend's driver",
    api="DCMI",
    needed=NEEDED,
    meanings=MEANINGS,
    function="dcmi_init",
    absent={NO_DEVICE: "Ascend's driver is installed and knows no device"},
)
_DRIVER_FILES = (
    "/usr/local/bin/npu-smi",
    "/etc/ascend_install.info",
    "/usr/local/Ascend/driver/lib64/driver",
    "/usr/local/Ascend/driver/version.info",
)


def probe(root: Path = Path("/")) -> ProbeReport:
    """The NPUs of this host.

    Args:
        root: where ``sys`` and the driver's files are.

    Raises:
        ProbeFailed: DCMI is there and does not work.
    """
    try:
        library = _STARTING.start(PLACE)
    except NothingHere as err:
        return ProbeReport(vendor=VENDOR, missing=str(err))
    found = chips(library)
    named = [(chip, position, uuid) for position, chip in enumerate(found) if (uuid := chip.uuid())]
    if found and not named:
        raise ProbeFailed(f"{library.name} counts {len(found)} NPUs and names none of them")
    files = [name for name in _DRIVER_FILES if (root / name[1:]).exists()]
    devices = [_device(chip, position, uuid, root, files) for chip, position, uuid in named]
    return ProbeReport(vendor=VENDOR, driver=driver_version(library), devices=tuple(devices))


def _device(chip: Chip, position: int, uuid: str, root: Path, files: list[str]) -> ProbedDevice:
    model, ai_cores = chip.model()
    logical = chip.logical()
    index = position if logical is None else logical
    total_mib, used_mib = chip.memory()
    bus, note = chip.bus_id(), _health_note(chip)
    facts: dict[str, Any] = {
        "NetworkID": _ring(model, index),
        "physical_id": chip.physical(index),
        "ai_cores": ai_cores,
        "pci_bus_id": bus,
        "shared": chip.shared(),
        "driver_files": files,
    }
    return ProbedDevice(
        uuid=uuid,
        index=index,
        model=model,
        memory_mib=total_mib,
        memory_used_mib=used_mib,
        core_busy_percent=chip.busy_percent(),
        process_memory_mib=chip.processes(),
        numa=_numa(bus, root),
        healthy=not note,
        health_note=note,
        custom={name: value for name, value in facts.items() if value is not None},
    )


def _ring(model: str, index: int) -> int | None:
    """The network ring a card is on: two of four cards on the 910 chips, none on the others."""
    if model == _MODULES:
        return 0
    return index // _RING_OF_FOUR if model.startswith("910") else None


def _health_note(chip: Chip) -> str:
    """Why the card must not be used, or nothing."""
    code, words = chip.health()
    if code is None:
        return f"its health cannot be read: {words}" if words else ""
    if code <= _WARNING:
        return ""
    told = f" ({words})" if words else ""
    return f"the driver reports its health as {_HEALTH.get(code, f'unknown, code {code:#x}')}{told}"


def _numa(bus: str | None, root: Path) -> int | None:
    if bus is None:
        return None
    try:
        node = int((root / "sys" / "bus" / "pci" / "devices" / bus / "numa_node").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return None if node < 0 else node
