"""The project's own metrics: one schema for every vendor. Base units, ratios from 0 to 1, counters end in _total."""

from __future__ import annotations

from hami_core.monitor.devices import HostDevice
from hami_core.monitor.picture import Picture, ShareUse
from hami_core.monitor.sheet import Sheet, Spec
from hami_core.monitor.workload import Workload
from hami_core.units import MIB

_NS = 10**9
_DEVICE = ("node", "vendor", "family", "device_uuid", "device_index", "model")
_OWNER = ("node", "namespace", "pod", "container")
_SHARE = (*_OWNER, "vendor", "device_uuid", "device_index")

SPECS = (
    Spec(name="hami_device_memory_total_bytes", says="Memory of the device.", labels=_DEVICE),
    Spec(name="hami_device_memory_used_bytes", says="Memory in use, as the driver counts it.", labels=_DEVICE),
    Spec(name="hami_device_memory_promised_bytes", says="Sum of the memory limits on the device.", labels=_DEVICE),
    Spec(name="hami_device_memory_ledger_bytes", says="Memory in use, as all shares count it.", labels=_DEVICE),
    Spec(
        name="hami_device_memory_drift_bytes",
        says="What the driver counts beyond the shares' own count: the driver's own memory, or use outside any share.",
        labels=_DEVICE,
    ),
    Spec(name="hami_device_utilization_ratio", says="Part of time the device is busy.", labels=_DEVICE),
    Spec(name="hami_device_healthy", says="1 where the driver reports no fault.", labels=_DEVICE),
    Spec(name="hami_device_shares", says="Shares of the device that are out.", labels=_DEVICE),
    Spec(name="hami_share_memory_limit_bytes", says="Memory limit; absent without one.", labels=_SHARE),
    Spec(name="hami_share_memory_used_bytes", says="Memory charged to the share's living processes.", labels=_SHARE),
    Spec(
        name="hami_share_memory_reserved_bytes",
        says="The same by what it was allocated as.",
        labels=(*_SHARE, "class"),
    ),
    Spec(name="hami_share_memory_driver_bytes", says="What the driver counts for these processes.", labels=_SHARE),
    Spec(name="hami_share_memory_drift_bytes", says="The driver's count less the share's own.", labels=_SHARE),
    Spec(name="hami_share_core_limit_ratio", says="Part of the device's time; absent without a limit.", labels=_SHARE),
    Spec(name="hami_share_utilization_ratio", says="Part of the device's time used of late.", labels=_SHARE),
    Spec(name="hami_share_busy_seconds_total", says="Device time used.", labels=_SHARE, counter=True),
    Spec(
        name="hami_share_throttled_seconds_total",
        says="Time that launches waited, summed over threads.",
        labels=_SHARE,
        counter=True,
    ),
    Spec(
        name="hami_share_refused_allocations_total",
        says="Memory requests past the limit.",
        labels=_SHARE,
        counter=True,
    ),
    Spec(name="hami_share_idle_seconds", says="Time since the last launch; absent before the first.", labels=_SHARE),
    Spec(name="hami_share_contended", says="1 where it is told that others work on the device.", labels=_SHARE),
    Spec(name="hami_share_yielding", says="1 where it is told to wait for higher priority.", labels=_SHARE),
    Spec(
        name="hami_isolation_active",
        says="1 where a living process is held by the isolation library; absent where none is meant to be.",
        labels=_OWNER,
    ),
    Spec(
        name="hami_isolation_heartbeat_age_seconds",
        says="Time since the library's last sign of life. It gives one when the program calls the device.",
        labels=_OWNER,
    ),
    Spec(
        name="hami_isolation_bypass_bytes",
        says="Memory that processes of the pod hold past the library, as the driver counts it.",
        labels=("node", "namespace", "pod"),
    ),
    Spec(
        name="hami_isolation_degraded",
        says="1 where NVML does not answer the isolation library of a living process; absent where it was not asked.",
        labels=_OWNER,
    ),
    Spec(name="hami_isolation_processes", says="Living processes held by the library.", labels=_OWNER),
    Spec(name="hami_isolation_reaped_total", says="Dead processes found in the books.", labels=_OWNER, counter=True),
    Spec(name="hami_isolation_unreadable", says="Files of the workload that cannot be used.", labels=_OWNER),
)


def fill(sheet: Sheet, picture: Picture) -> None:
    """Add the samples of every device, share and workload."""
    uses = picture.uses()
    for device in picture.devices.devices:
        of_it = [use for use in uses if use.device == device]
        _device(sheet, device, of_it)
    for use in uses:
        _share(sheet, use, picture.now_ns)
    for workload in picture.workloads:
        _workload(sheet, workload, picture)
    for bypass in picture.bypasses():
        sheet.add("hami_isolation_bypass_bytes", bypass.memory_bytes, owner_labels(bypass.workload))


def _device(sheet: Sheet, device: HostDevice, uses: list[ShareUse]) -> None:
    card = device.card
    labels = {
        "node": device.node,
        "vendor": card.vendor,
        "family": card.device.family,
        "device_uuid": card.device.uuid,
        "device_index": str(card.device.index),
        "model": card.device.model,
    }
    probed = card.probed
    ledger = sum(use.used_bytes for use in uses)
    used = None if probed.memory_used_mib is None else probed.memory_used_mib * MIB
    busy = None if probed.core_busy_percent is None else probed.core_busy_percent / 100
    sheet.add("hami_device_memory_total_bytes", None if probed.memory_mib is None else probed.memory_mib * MIB, labels)
    sheet.add("hami_device_memory_used_bytes", used, labels)
    promised = sum((use.share.limits.memory_mib or 0) * MIB for use in uses)
    sheet.add("hami_device_memory_promised_bytes", promised, labels)
    sheet.add("hami_device_memory_ledger_bytes", ledger, labels)
    sheet.add("hami_device_memory_drift_bytes", None if used is None else used - ledger, labels)
    sheet.add("hami_device_utilization_ratio", busy, labels)
    sheet.add("hami_device_healthy", probed.healthy, labels)
    sheet.add("hami_device_shares", len(uses), labels)


def owner_labels(workload: Workload) -> dict[str, str]:
    """The labels that say whose a sample is."""
    owner = workload.owner
    return {"node": owner.node, "namespace": owner.namespace, "pod": owner.pod, "container": owner.container}


def _share(sheet: Sheet, use: ShareUse, now_ns: int) -> None:
    limits, seen = use.share.limits, use.share.device
    labels = {
        **owner_labels(use.workload),
        "vendor": "" if use.device is None else use.device.card.vendor,
        "device_uuid": limits.uuid,
        "device_index": "" if use.device is None else str(use.device.card.device.index),
    }
    limit = None if limits.memory_mib is None else limits.memory_mib * MIB
    drift = None if use.driver_bytes is None else use.driver_bytes - use.used_bytes
    sheet.add("hami_share_memory_limit_bytes", limit, labels)
    sheet.add("hami_share_memory_used_bytes", use.used_bytes, labels)
    for name, held in use.class_bytes.items():
        sheet.add("hami_share_memory_reserved_bytes", held, {**labels, "class": name})
    sheet.add("hami_share_memory_driver_bytes", use.driver_bytes, labels)
    sheet.add("hami_share_memory_drift_bytes", drift, labels)
    cores = None if limits.core_percent is None else limits.core_percent / 100
    sheet.add("hami_share_core_limit_ratio", cores, labels)
    sheet.add("hami_share_utilization_ratio", None if use.reading is None else use.reading.busy_ratio, labels)
    sheet.add("hami_share_busy_seconds_total", 0 if seen is None else seen.busy_ns / _NS, labels)
    sheet.add("hami_share_throttled_seconds_total", 0 if seen is None else seen.throttled_ns / _NS, labels)
    sheet.add("hami_share_refused_allocations_total", 0 if seen is None else seen.refused_count, labels)
    sheet.add("hami_share_idle_seconds", since_s(None if seen is None else seen.launched_ns, now_ns), labels)
    sheet.add("hami_share_contended", limits.contended, labels)
    sheet.add("hami_share_yielding", limits.yields, labels)


def _workload(sheet: Sheet, workload: Workload, picture: Picture) -> None:
    labels, region = owner_labels(workload), workload.region
    living = () if region is None else tuple(filter(picture.processes.alive, region.processes))
    if workload.library:
        sheet.add("hami_isolation_active", picture.isolated(workload), labels)
    heartbeat_ns = None if region is None else region.heartbeat_ns
    sheet.add("hami_isolation_heartbeat_age_seconds", since_s(heartbeat_ns, picture.now_ns), labels)
    answers = [process.management_answers for process in living if process.management_answers is not None]
    sheet.add("hami_isolation_degraded", not all(answers) if answers else None, labels)
    sheet.add("hami_isolation_processes", len(living), labels)
    sheet.add("hami_isolation_reaped_total", 0 if region is None else region.reaped_count, labels)
    sheet.add("hami_isolation_unreadable", len(workload.problems), labels)


def since_s(moment_ns: int | None, now_ns: int) -> float | None:
    """Seconds since a moment of the monotonic clock, never below 0."""
    return None if moment_ns is None else max(0, now_ns - moment_ns) / _NS
