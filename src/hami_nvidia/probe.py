"""Reads NVIDIA GPUs through NVML. The only file of this plugin that opens the driver.

What NVML does not support or fails to say about one card is None, never zero; a card that cannot even be named is left
out. Facts about the calls: nvml.h of CUDA 13 (PyPI nvidia-nvml-dev).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pynvml as nvml

from hami_core.behaviour import Link, ProbedDevice, ProbeReport
from hami_core.errors import ProbeFailed
from hami_core.model import PartitionPlacement, PartitionProfile
from hami_core.pci import SYSFS, bus_id, numa_node, only_node
from hami_core.units import MIB
from hami_nvidia.instances import instances, placement_of

VENDOR = "nvidia"
MIG_SLICES = 7  # compute slices of a card in MIG mode, on every card that has it

T = TypeVar("T")

_LEVELS: dict[int, str] = {
    nvml.NVML_TOPOLOGY_INTERNAL: "same-board",
    nvml.NVML_TOPOLOGY_SINGLE: "single-switch",
    nvml.NVML_TOPOLOGY_MULTIPLE: "multi-switch",
    nvml.NVML_TOPOLOGY_HOSTBRIDGE: "host-bridge",
    nvml.NVML_TOPOLOGY_NODE: "same-cpu",
    nvml.NVML_TOPOLOGY_SYSTEM: "cross-cpu",
}
# These say that the card itself is gone or wedged, where others only say that a question has no answer.
_BROKEN = (nvml.NVML_ERROR_GPU_IS_LOST, nvml.NVML_ERROR_RESET_REQUIRED)


def probe(sysfs: Path = SYSFS) -> ProbeReport:
    """The GPUs of this host.

    Args:
        sysfs: where the kernel's device tree is mounted; tells the NUMA node where NVML does not.

    Raises:
        ProbeFailed: NVML is there and does not work.
    """
    try:
        nvml.nvmlInit()
    except nvml.NVMLError_LibraryNotFound:
        return ProbeReport(vendor=VENDOR, missing="the NVIDIA driver is not installed (no libnvidia-ml.so.1)")
    except nvml.NVMLError_DriverNotLoaded:
        return ProbeReport(vendor=VENDOR, missing="the NVIDIA driver is not loaded")
    except nvml.NVMLError as err:
        raise ProbeFailed(f"NVML does not start: {err}") from err
    try:
        return ProbeReport(
            vendor=VENDOR, driver=_ask(nvml.nvmlSystemGetDriverVersion) or "unknown", devices=_devices(sysfs)
        )
    finally:
        nvml.nvmlShutdown()


def _devices(sysfs: Path) -> tuple[ProbedDevice, ...]:
    try:
        count: int = nvml.nvmlDeviceGetCount()
    except nvml.NVMLError as err:
        raise ProbeFailed(f"NVML does not count the GPUs: {err}") from err
    cards = {}
    for index in range(count):
        handle = _ask(nvml.nvmlDeviceGetHandleByIndex, index)
        uuid = None if handle is None else _ask(nvml.nvmlDeviceGetUUID, handle)
        if uuid is not None:
            cards[index] = (handle, uuid)
    if count and not cards:
        raise ProbeFailed(f"NVML counts {count} GPUs and names none of them")
    peers = {uuid: handle for handle, uuid in cards.values()}
    return tuple(
        _device(handle, index=index, uuid=uuid, peers=peers, sysfs=sysfs) for index, (handle, uuid) in cards.items()
    )


def _device(handle: Any, *, index: int, uuid: str, peers: dict[str, Any], sysfs: Path) -> ProbedDevice:
    total_mib, used_mib = _memory(handle)
    rates = _ask(nvml.nvmlDeviceGetUtilizationRates, handle)
    mig_on = (_ask(nvml.nvmlDeviceGetMigMode, handle) or (0, 0))[0] == nvml.NVML_DEVICE_MIG_ENABLE
    note = _health_note(handle)
    bus = _bus_id(handle)
    return ProbedDevice(
        uuid=uuid,
        index=index,
        model=_ask(nvml.nvmlDeviceGetName, handle) or "unknown",
        memory_mib=total_mib,
        memory_used_mib=used_mib,
        core_busy_percent=None if rates is None else rates.gpu,
        memory_busy_percent=None if rates is None else rates.memory,
        process_memory_mib=_process_memory(handle),
        numa=_numa(handle, bus, sysfs),
        healthy=not note,
        health_note=note,
        mode="mig" if mig_on else "hami-core",
        profiles=_profiles(handle) if mig_on else (),
        partitions=_partitions(handle) if mig_on else (),
        links=_links(handle, uuid, peers),
        custom={} if bus is None else {"pci_bus_id": bus},
    )


def _ask(question: Callable[..., T], *arguments: Any, **options: Any) -> T | None:
    """The answer of NVML, or None when it has none."""
    try:
        return question(*arguments, **options)
    except nvml.NVMLError:
        return None


def _memory(handle: Any) -> tuple[int | None, int | None]:
    """Total and used MiB. The second layout leaves out of `used` what the driver keeps for itself."""
    memory = _ask(nvml.nvmlDeviceGetMemoryInfo, handle, version=nvml.nvmlMemory_v2) or _ask(
        nvml.nvmlDeviceGetMemoryInfo, handle
    )
    # Cards that share the host's memory (GB10, Jetson) do not support the question.
    return (None, None) if memory is None else (memory.total // MIB, memory.used // MIB)


def _process_memory(handle: Any) -> dict[int, int]:
    found = _ask(nvml.nvmlDeviceGetComputeRunningProcesses, handle) or ()
    return {each.pid: each.usedGpuMemory // MIB for each in found if each.usedGpuMemory is not None}


def _health_note(handle: Any) -> str:
    """Why the card must not be used, or nothing."""
    try:
        nvml.nvmlDeviceGetMemoryInfo(handle)
    except nvml.NVMLError as err:
        if err.value in _BROKEN:
            return f"the driver reports: {err}"
    rows = _ask(nvml.nvmlDeviceGetRemappedRows, handle)
    failed = rows is not None and bool(rows[3])
    return "the driver could not replace a broken memory row; the card needs service" if failed else ""


def _bus_id(handle: Any) -> str | None:
    """As sysfs spells it, ``0000:3b:00.0``; NVML's domain has eight digits."""
    pci = _ask(nvml.nvmlDeviceGetPciInfo, handle)
    return None if pci is None else bus_id(pci.domain, pci.bus, pci.device)


def _numa(handle: Any, bus: str | None, sysfs: Path) -> int | None:
    # Two words hold the 128 nodes that any machine with GPUs has.
    words = _ask(nvml.nvmlDeviceGetMemoryAffinity, handle, 2, nvml.NVML_AFFINITY_SCOPE_NODE)
    near = None if words is None else only_node([int(word) for word in words])
    if near is not None:
        return near
    return None if bus is None else numa_node(bus, sysfs)


def _profiles(handle: Any) -> tuple[PartitionProfile, ...]:
    """The MIG profiles that the card offers, by name."""
    found = (_profile(handle, number) for number in range(nvml.NVML_GPU_INSTANCE_PROFILE_COUNT))
    return tuple(sorted((profile for profile in found if profile is not None), key=lambda profile: profile.name))


def _partitions(handle: Any) -> tuple[PartitionPlacement, ...]:
    """Where GPU instances lie, of whatever profile."""
    infos = (
        _ask(nvml.nvmlDeviceGetGpuInstanceProfileInfoV, handle, number)
        for number in range(nvml.NVML_GPU_INSTANCE_PROFILE_COUNT)
    )
    found = [instance for info in infos if info is not None for instance in _ask(instances, handle, info.id) or ()]
    places = {place for instance in found if (place := _ask(placement_of, instance)) is not None}
    return tuple(sorted(places, key=lambda place: (place.start, place.size)))


def _profile(handle: Any, number: int) -> PartitionProfile | None:
    info = _ask(nvml.nvmlDeviceGetGpuInstanceProfileInfoV, handle, number)
    if info is None:
        return None
    name = info.name.decode() if isinstance(info.name, bytes) else str(info.name)
    return PartitionProfile(
        name=name.removeprefix("MIG "),
        memory_mib=info.memorySizeMB,
        core_units=min(100, info.sliceCount * 100 // MIG_SLICES),
        slice_count=info.sliceCount,
        placements=_ask(_placements, handle, info.id) or (),
    )


def _placements(handle: Any, profile_id: int) -> tuple[PartitionPlacement, ...]:
    """Where a profile may lie. pynvml hands this call through as C has it: ask for the count, then for the rows."""
    count = ctypes.c_uint()
    nvml.nvmlDeviceGetGpuInstancePossiblePlacements(handle, profile_id, None, ctypes.byref(count))
    rows = (nvml.c_nvmlGpuInstancePlacement_t * count.value)()
    nvml.nvmlDeviceGetGpuInstancePossiblePlacements(handle, profile_id, rows, ctypes.byref(count))
    return tuple(PartitionPlacement(start=row.start, size=row.size) for row in rows[: count.value])


def _links(handle: Any, uuid: str, peers: dict[str, Any]) -> tuple[Link, ...]:
    """How the card reaches each of the others: its NVLink lanes, and the nearest common point on PCIe."""
    by_bus = {bus: peer for peer, other in peers.items() if (bus := _bus_id(other)) is not None}
    lanes, switch_lanes = _lanes(handle, by_bus)
    links = []
    for peer, other in peers.items():
        if peer == uuid:
            continue
        count = lanes.get(peer, 0) or (switch_lanes if _linked(handle, other) else 0)
        if count:
            links.append(Link(peer_uuid=peer, kind="nvlink", count=count))
        level = _ask(nvml.nvmlDeviceGetTopologyCommonAncestor, handle, other)
        if level in _LEVELS:
            links.append(Link(peer_uuid=peer, kind=_LEVELS[level]))
    return tuple(links)


def _lanes(handle: Any, by_bus: dict[str, str]) -> tuple[dict[str, int], int]:
    """Active NVLink lanes by the peer they lead to, and how many lead to a switch."""
    lanes: dict[str, int] = {}
    to_switch = 0
    for lane in range(nvml.NVML_NVLINK_MAX_LINKS):
        if _ask(nvml.nvmlDeviceGetNvLinkState, handle, lane) != nvml.NVML_FEATURE_ENABLED:
            continue
        remote = _ask(nvml.nvmlDeviceGetNvLinkRemotePciInfo, handle, lane)
        bus = "" if remote is None else bus_id(remote.domain, remote.bus, remote.device)
        if bus in by_bus:
            lanes[by_bus[bus]] = lanes.get(by_bus[bus], 0) + 1
        elif _ask(nvml.nvmlDeviceGetNvLinkRemoteDeviceType, handle, lane) == nvml.NVML_NVLINK_DEVICE_TYPE_SWITCH:
            to_switch += 1
    return lanes, to_switch


def _linked(handle: Any, other: Any) -> bool:
    status = _ask(nvml.nvmlDeviceGetP2PStatus, handle, other, nvml.NVML_P2P_CAPS_INDEX_NVLINK)
    return bool(status == nvml.NVML_P2P_STATUS_OK)
