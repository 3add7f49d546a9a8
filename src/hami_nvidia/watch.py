"""Waits for what NVIDIA's driver reports by itself: Xid errors, and ECC errors that lost data.

Facts about the calls: nvml.h of CUDA 13 (PyPI nvidia-nvml-dev).
"""

from __future__ import annotations

from collections.abc import Callable

import pynvml as nvml

from hami_core.behaviour import DeviceEvent

_WANTED = nvml.nvmlEventTypeXidCriticalError | nvml.nvmlEventTypeDoubleBitEccError
_WAIT_MS = 5000


def watch(report: Callable[[DeviceEvent], None]) -> None:
    """Report events until the process ends; return at once where there is no driver, or no card that has events."""
    try:
        nvml.nvmlInit()
    except (nvml.NVMLError_LibraryNotFound, nvml.NVMLError_DriverNotLoaded):
        return
    events = nvml.nvmlEventSetCreate()
    if not sum(_join(events, index) for index in range(nvml.nvmlDeviceGetCount())):
        return
    while True:
        try:
            seen = nvml.nvmlEventSetWait_v2(events, _WAIT_MS)
        except nvml.NVMLError_Timeout:
            continue
        uuid = nvml.nvmlDeviceGetUUID(seen.device)
        if seen.eventType == nvml.nvmlEventTypeXidCriticalError:
            report(DeviceEvent(uuid=uuid, xid=seen.eventData))
        else:
            report(DeviceEvent(uuid=uuid, note="a double-bit ECC error"))


def _join(events: object, index: int) -> bool:
    """Have a card's events come to `events`; False for a card that has none of those that count."""
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        kinds = nvml.nvmlDeviceGetSupportedEventTypes(handle) & _WANTED
        if kinds:
            nvml.nvmlDeviceRegisterEvents(handle, kinds, events)
    except nvml.NVMLError:
        return False  # the probe sees what is wrong with it
    return bool(kinds)
