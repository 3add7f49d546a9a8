"""What this host has, from the files of the amdgpu and amdkfd drivers. No library is needed.

``/sys/class/drm/card<n>/device`` is a card, ``/sys/class/kfd/kfd/topology/nodes/<n>`` the same card as the compute driver
sees it; the number of the render node ties both together. Names of files and units: Linux, Documentation/gpu/amdgpu and
drivers/gpu/drm/amd/amdkfd/kfd_topology.c.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from hami_core.behaviour import Link, ProbedDevice, ProbeReport

ROOT_ENV = "HAMI_AMD_ROOT"
"""Names the root to read under instead of ``/``, for tests."""

_VENDOR_ID = "0x1002"
_MIB = 1024 * 1024
_XGMI = 11  # HSA_IOLINK_TYPE_XGMI
_CARD = re.compile(r"card(\d+)")  # not the connectors beside them, such as card0-DP-1
_RENDER = re.compile(r"renderD(\d+)")


def probe() -> ProbeReport:
    """The cards of this host."""
    return probe_under(Path(os.environ.get(ROOT_ENV, "/")))


def probe_under(root: Path) -> ProbeReport:
    """The cards of the host whose files lie under `root`.

    Raises:
        OSError, ValueError: the driver is there, but a card cannot be read.
    """
    try:
        driver = _driver(root)
    except FileNotFoundError:
        return ProbeReport(vendor="amd", missing="the amdgpu driver is not loaded: there is no /sys/module/amdgpu")
    topology = dict(_topology(root))
    folders = sorted(_cards(root), key=_number)
    uuids = {_render(folder): _uuid(folder) for folder in folders}
    devices = tuple(
        _device(folder, index, topology.get(_render(folder), {}), _peers(root, _render(folder), topology, uuids))
        for index, folder in enumerate(folders)
    )
    return ProbeReport(vendor="amd", driver=driver, devices=devices)


def _driver(root: Path) -> str:
    """The version of the driver, which is the kernel's where it came with the kernel."""
    module = root / "sys/module/amdgpu"
    names = {entry.name for entry in module.iterdir()}
    return _text(module / "version") if "version" in names else _text(root / "proc/sys/kernel/osrelease")


def _cards(root: Path) -> Iterator[Path]:
    for entry in (root / "sys/class/drm").iterdir():
        if _CARD.fullmatch(entry.name) and _text(entry / "device/vendor") == _VENDOR_ID:
            yield entry


def _number(folder: Path) -> int:
    return int(folder.name.removeprefix("card"))


def _device(folder: Path, index: int, properties: Mapping[str, int], links: tuple[Link, ...]) -> ProbedDevice:
    device = folder / "device"
    numa = int(_text(device / "numa_node"))
    return ProbedDevice(
        uuid=_uuid(folder),
        index=index,
        model=_optional(device / "product_name") or "AMD GPU",
        memory_mib=int(_text(device / "mem_info_vram_total")) // _MIB,
        memory_used_mib=int(_text(device / "mem_info_vram_used")) // _MIB,
        core_busy_percent=int(busy) if (busy := _optional(device / "gpu_busy_percent")) else None,
        numa=None if numa < 0 else numa,
        links=links,
        custom={"computeUnits": properties.get("simd_count", 0) // max(1, properties.get("simd_per_cu", 1))},
    )


def _uuid(folder: Path) -> str:
    """As ROCm names the card, ``GPU-`` and its unique id; its place on the bus where it has none."""
    unique = _optional(folder / "device/unique_id")
    return (
        f"GPU-{unique.removeprefix('0x')}" if unique else f"GPU-{(folder / 'device').resolve().name.replace(':', '-')}"
    )


def _render(folder: Path) -> int:
    """The number of the card's render node."""
    numbers = [_RENDER.fullmatch(entry.name) for entry in (folder / "device/drm").iterdir()]
    return next(int(match[1]) for match in numbers if match)


def _topology(root: Path) -> Iterator[tuple[int, Mapping[str, int]]]:
    """Properties of the compute driver's nodes by render node; processors have none."""
    folder = root / "sys/class/kfd/kfd/topology/nodes"
    for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
        properties = _properties(entry / "properties")
        if properties.get("drm_render_minor", 0) > 0:
            yield properties["drm_render_minor"], {**properties, "node": int(entry.name)}


def _peers(
    root: Path, render: int, topology: Mapping[int, Mapping[str, int]], uuids: Mapping[int, str]
) -> tuple[Link, ...]:
    if render not in topology:
        return ()
    by_node = {properties["node"]: uuids.get(minor) for minor, properties in topology.items()}
    folder = root / "sys/class/kfd/kfd/topology/nodes" / str(topology[render]["node"]) / "io_links"
    entries = sorted(folder.iterdir(), key=lambda entry: int(entry.name)) if folder.is_dir() else []
    links = [_properties(entry / "properties") for entry in entries]
    peers = [by_node.get(link["node_to"]) for link in links if link.get("type") == _XGMI]
    return tuple(Link(peer_uuid=peer, kind="xgmi") for peer in peers if peer)


def _properties(file: Path) -> Mapping[str, int]:
    pairs = (line.split() for line in file.read_text(encoding="utf-8").splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8").strip()


def _optional(file: Path) -> str:
    try:
        return _text(file)
    except FileNotFoundError:
        return ""
