"""Cards as PCI devices: where they are in the machine, for drivers that do not tell or tell in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

SYSFS = Path("/sys")
LEVELS = ("same-board", "single-switch", "multi-switch", "host-bridge", "same-cpu", "cross-cpu")
"""The nearest common point of two cards, from near to far, in the order that NVML and the libraries after it count."""

_WORD = 64


def bus_id(domain: int, bus: int, device: int, function: int = 0) -> str:
    """The address as sysfs spells it: ``0000:3b:00.0``."""
    return f"{domain:04x}:{bus:02x}:{device:02x}.{function:x}"


def only_node(words: Sequence[int]) -> int | None:
    """The NUMA node of a mask in words of 64 bits that has one bit; None for any other mask."""
    bits = [_WORD * place + bit for place, word in enumerate(words) for bit in range(_WORD) if word >> bit & 1]
    return bits[0] if len(bits) == 1 else None


def numa_node(bus: str, sysfs: Path = SYSFS) -> int | None:
    """The NUMA node of the device at `bus`; None where there is none, or nobody knows."""
    try:
        node = int((_device(bus, sysfs) / "numa_node").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return None if node < 0 else node


def drm_nodes(bus: str, sysfs: Path = SYSFS) -> list[str]:
    """The nodes in ``/dev/dri`` of the device at `bus`, card before render node; empty where it has none."""
    try:
        names = sorted(entry.name for entry in (_device(bus, sysfs) / "drm").iterdir())
    except OSError:
        return []
    return [f"/dev/dri/{name}" for name in names if name.startswith(("card", "renderD"))]


def _device(bus: str, sysfs: Path) -> Path:
    return sysfs / "bus" / "pci" / "devices" / bus
