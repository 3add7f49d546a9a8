"""Reads Moore Threads GPUs through MTML, by the vendor's own binding. The only file that opens the driver.

What MTML fails to say about one card is None, never zero; a card that cannot even be named is left out. MTML lists no
processes. Facts about the calls: mthreads-ml-py 2.4.3 (PyPI) and mtml_2.2.0.h of MooreThreads/mthreads-ml-py.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from hami_core.behaviour import Link, ProbedDevice, ProbeReport
from hami_core.errors import ProbeFailed
from hami_core.isolation.nodes import DEVICE_NODES
from hami_core.native_library import LibraryPlace, NothingHere, Starting
from hami_core.pci import LEVELS, SYSFS, bus_id, numa_node, only_node
from hami_core.units import MIB
from hami_mthreads.facts import SGPU_MODULE

try:
    import pymtml as mtml
except ModuleNotFoundError:  # an extra of this package: hami-mthreads[mtml]
    mtml = None

VENDOR = "mthreads"
PLACE = LibraryPlace(
    vendor=VENDOR, names=("libmtml.so.2", "libmtml.so"), folders=("/usr/local/musa/lib", "/usr/lib/x86_64-linux-gnu")
)
CARD_CORES = 16  # HAMi's parts of a card's compute

_MODULE_FOLDER = "sgpu_km"  # below /proc
_STARTING = Starting(  # the binding starts it
    driver="Moore Threads' driver",
    api="MTML",
    needed=("mtmlLibraryInit", "mtmlLibraryCountDevice", "mtmlLibraryInitDeviceByIndex", "mtmlDeviceGetUUID"),
)
_NODE_WORDS = 2  # hold the 128 NUMA nodes that any machine with GPUs has

T = TypeVar("T")


def probe(sysfs: Path = SYSFS, proc: Path = Path("/proc")) -> ProbeReport:
    """The Moore Threads GPUs of this host.

    Args:
        sysfs: where the kernel's device tree is mounted; tells the NUMA node where MTML does not.
        proc: where the kernel tells of itself; has a folder of the module that shares out cards, if it is loaded.

    Raises:
        ProbeFailed: MTML is there and does not work, or its binding is not installed.
    """
    try:
        library = _STARTING.start(PLACE)
    except NothingHere as err:
        return ProbeReport(vendor=VENDOR, missing=str(err))
    if mtml is None:
        raise ProbeFailed("MTML is here and its binding is not; install it: pip install 'hami-mthreads[mtml]'")
    mtml.mtmlLib = library.handle  # found by our rules, which know more places
    try:
        mtml.mtmlLibraryInit()
    except mtml.MTMLError as err:
        if err.value == mtml.MTML_ERROR_DRIVER_NOT_LOADED:
            return ProbeReport(vendor=VENDOR, missing="Moore Threads' driver is not loaded")
        raise ProbeFailed(f"MTML does not start: {_said(err)}") from err
    try:
        return ProbeReport(
            vendor=VENDOR,
            driver=_driver() or "unknown",
            devices=_devices(sysfs, module=(proc / _MODULE_FOLDER).is_dir()),
        )
    finally:
        _ask(mtml.mtmlLibraryShutDown)


def _devices(sysfs: Path, *, module: bool) -> tuple[ProbedDevice, ...]:
    try:
        count: int = mtml.mtmlLibraryCountDevice()
    except mtml.MTMLError as err:
        raise ProbeFailed(f"MTML does not count the GPUs: {_said(err)}") from err
    with contextlib.ExitStack() as handles:
        cards: dict[int, tuple[Any, str]] = {}
        for index in range(count):
            handle = _ask(mtml.mtmlLibraryInitDeviceByIndex, index)
            if handle is None:
                continue
            handles.callback(_ask, mtml.mtmlLibraryFreeDevice, handle)
            uuid = _ask(mtml.mtmlDeviceGetUUID, handle)
            cards |= {index: (handle, uuid)} if uuid else {}
        if count and not cards:
            raise ProbeFailed(f"MTML counts {count} GPUs and names none of them")
        peers = {uuid: handle for handle, uuid in cards.values()}
        return tuple(_device(index, uuid, peers, sysfs, module=module) for index, (_, uuid) in cards.items())


def _device(index: int, uuid: str, peers: dict[str, Any], sysfs: Path, *, module: bool) -> ProbedDevice:
    handle = peers[uuid]
    total, used, note = _memory(handle)
    pci = _ask(mtml.mtmlDeviceGetPciInfo, handle)
    bus = None if pci is None else bus_id(pci.segment, pci.bus, pci.device)
    return ProbedDevice(
        uuid=uuid,
        index=index,
        model=_ask(mtml.mtmlDeviceGetName, handle) or "unknown",
        memory_mib=None if total is None else total // MIB,
        memory_used_mib=None if used is None else used // MIB,
        core_units=CARD_CORES,
        core_busy_percent=_busy(handle),
        numa=_numa(handle, bus, sysfs),
        healthy=not note,
        health_note=note,
        links=_links(uuid, peers),
        custom={
            DEVICE_NODES: _nodes(handle),
            **({SGPU_MODULE: True} if module else {}),
            **({} if bus is None else {"pci_bus_id": bus}),
        },
    )


def _said(err: Any) -> str:
    return f"it answered {err.value}"


def _ask(question: Callable[..., T], *arguments: Any) -> T | None:
    """The answer of MTML, or None when it has none."""
    try:
        return question(*arguments)
    except (mtml.MTMLError, UnicodeDecodeError):
        return None


@contextlib.contextmanager
def _part(make: Callable[..., Any], drop: Callable[..., Any], *owner: Any) -> Iterator[Any]:
    """A handle that wants to be freed; None when there is none."""
    handle = _ask(make, *owner)
    try:
        yield handle
    finally:
        if handle is not None:
            _ask(drop, handle)


def _driver() -> str | None:
    with _part(mtml.mtmlLibraryInitSystem, mtml.mtmlLibraryFreeSystem) as system:
        return None if system is None else _ask(mtml.mtmlSystemGetDriverVersion, system)


def _memory(handle: Any) -> tuple[int | None, int | None, str]:
    """Bytes in total and in use, and why the card must not be used, or nothing.

    MTML has no call for a card's health: what it says of memory pages is the nearest.
    """
    with _part(mtml.mtmlDeviceInitMemory, mtml.mtmlDeviceFreeMemory, handle) as memory:
        if memory is None:
            return None, None, "MTML does not open the card's memory"
        pending = _ask(mtml.mtmlMemoryGetRetiredPagesPendingStatus, memory)
        note = "memory pages wait to be retired; the card needs a reset" if pending else ""
        return _ask(mtml.mtmlMemoryGetTotal, memory), _ask(mtml.mtmlMemoryGetUsed, memory), note


def _busy(handle: Any) -> int | None:
    with _part(mtml.mtmlDeviceInitGpu, mtml.mtmlDeviceFreeGpu, handle) as gpu:
        return None if gpu is None else _ask(mtml.mtmlGpuGetUtilization, gpu)


def _numa(handle: Any, bus: str | None, sysfs: Path) -> int | None:
    words = _ask(mtml.mtmlDeviceGetMemoryAffinityWithinNode, handle, _NODE_WORDS)
    near = None if words is None else only_node(words)
    return near if near is not None or bus is None else numa_node(bus, sysfs)


def _links(uuid: str, peers: dict[str, Any]) -> tuple[Link, ...]:
    levels = {
        peer: _ask(mtml.mtmlDeviceGetTopologyLevel, peers[uuid], other) for peer, other in peers.items() if peer != uuid
    }
    return tuple(
        Link(peer_uuid=peer, kind=LEVELS[level])
        for peer, level in levels.items()
        if level is not None and level < len(LEVELS)
    )


def _nodes(handle: Any) -> list[str]:
    """The card's device nodes, as MTML names them."""
    asked = (mtml.mtmlDeviceGetGpuPath, mtml.mtmlDeviceGetPrimaryPath, mtml.mtmlDeviceGetRenderPath)
    return [path for question in asked if (path := _ask(question, handle))]
