"""HAMi's metrics: its names, labels and units, for dashboards that exist. Core ratios are percent there, 0 to 100."""

from __future__ import annotations

from hami_core.monitor.devices import HostDevice
from hami_core.monitor.picture import Picture, ShareUse
from hami_core.monitor.schema import owner_labels, since_s
from hami_core.monitor.sheet import Sheet, Spec
from hami_core.monitor.workload import Workload
from hami_core.units import MIB

_ZONE = "vGPU"
_UUID_BYTES = 40  # HAMi cuts UUIDs there
_HOST = ("node", "device_index", "device_uuid", "device_type", "zone")
_HOST_NO_NODE = _HOST[1:]
_SHARE = ("namespace", "pod", "container", "vdevice_index", "device_uuid", "zone")
_MIG = (*_SHARE, "mig_uuid", "profile", "gpu_instance_id", "compute_instance_id")
_OLD_HOST = ("nodeid", "deviceidx", "deviceuuid", "devicetype", "zone")
_OLD_SHARE = ("podnamespace", "podname", "ctrname", "vdeviceid", "deviceuuid", "zone")

SPECS = (
    Spec(name="hami_host_gpu_memory_used_bytes", says="Memory of the card in use.", labels=_HOST),
    Spec(name="hami_host_gpu_utilization_ratio", says="Percent of time the card is busy.", labels=_HOST),
    Spec(
        name="hami_host_gpu_memory_controller_utilization_ratio",
        says="Percent of time the card's memory is read or written.",
        labels=_HOST_NO_NODE,
    ),
    Spec(name="hami_vgpu_memory_used_bytes", says="Memory a container uses.", labels=_SHARE),
    Spec(name="hami_vgpu_memory_limit_bytes", says="Memory a container may use.", labels=_SHARE),
    Spec(name="hami_container_device_memory_bytes", says="Memory a container uses.", labels=_SHARE),
    Spec(name="hami_container_device_utilization_ratio", says="Percent of the card's time used.", labels=_SHARE),
    Spec(name="hami_container_last_kernel_elapsed_seconds", says="Time since the last launch.", labels=_SHARE),
    Spec(name="hami_vgpu_memory_context_bytes", says="Memory of contexts.", labels=_SHARE),
    Spec(name="hami_vgpu_memory_module_bytes", says="Memory of modules: part of contexts here, so 0.", labels=_SHARE),
    Spec(name="hami_vgpu_memory_buffer_bytes", says="All other memory.", labels=_SHARE),
    Spec(name="hami_mig_device_info", says="1 for each MIG instance that a container has.", labels=_MIG),
)

LEGACY_SPECS = (
    Spec(name="HostGPUMemoryUsage", says="Memory of the card in use, bytes.", labels=_OLD_HOST),
    Spec(name="HostCoreUtilization", says="Percent of time the card is busy.", labels=_OLD_HOST),
    Spec(name="vGPU_device_memory_usage_in_bytes", says="Memory a container uses.", labels=_OLD_SHARE),
    Spec(name="vGPU_device_memory_limit_in_bytes", says="Memory a container may use.", labels=_OLD_SHARE),
    Spec(
        name="Device_memory_desc_of_container",
        says="Memory a container uses, and of what kinds.",
        labels=(*_OLD_SHARE, "context", "module", "data", "offset"),
    ),
    Spec(name="Device_utilization_desc_of_container", says="Percent of the card's time used.", labels=_OLD_SHARE),
    Spec(name="Device_last_kernel_of_container", says="Seconds since the last launch.", labels=_OLD_SHARE),
    Spec(name="MigInfo", says="1 for each MIG instance that a container has.", labels=(*_OLD_SHARE, "instanceid")),
)


def fill(sheet: Sheet, picture: Picture, *, legacy: bool) -> None:
    """Add the samples; with `legacy` also under the names that HAMi had before 2.9."""
    for device in picture.devices.devices:
        _host(sheet, device, legacy=legacy)
    for use in picture.uses():
        _share(sheet, use, picture.now_ns, legacy=legacy)
    for workload in picture.workloads:
        _partitions(sheet, workload, legacy=legacy)


def _host(sheet: Sheet, device: HostDevice, *, legacy: bool) -> None:
    card = device.card
    labels = {
        "node": device.node,
        "device_index": str(card.device.index),
        "device_uuid": card.device.uuid,
        "device_type": f"{card.device.family}-{card.device.model}",
        "zone": _ZONE,
    }
    used = None if card.probed.memory_used_mib is None else card.probed.memory_used_mib * MIB
    sheet.add("hami_host_gpu_memory_used_bytes", used, labels)
    sheet.add("hami_host_gpu_utilization_ratio", card.probed.core_busy_percent, labels)
    sheet.add("hami_host_gpu_memory_controller_utilization_ratio", card.probed.memory_busy_percent, labels)
    if legacy:
        old = dict(zip(_OLD_HOST, (labels[name] for name in _HOST), strict=True))
        sheet.add("HostGPUMemoryUsage", used, old)
        sheet.add("HostCoreUtilization", card.probed.core_busy_percent, old)


def _share(sheet: Sheet, use: ShareUse, now_ns: int, *, legacy: bool) -> None:
    limits, seen = use.share.limits, use.share.device
    labels = {
        **owner_labels(use.workload),
        "vdevice_index": str(use.share.position),
        "device_uuid": limits.uuid[:_UUID_BYTES],
        "zone": _ZONE,
    }
    limit = None if limits.memory_mib is None else limits.memory_mib * MIB
    busy = None if use.reading is None or use.reading.busy_ratio is None else 100 * use.reading.busy_ratio
    idle_s = since_s(None if seen is None else seen.launched_ns, now_ns)
    context = use.class_bytes.get("context", 0)
    sheet.add("hami_vgpu_memory_used_bytes", use.used_bytes, labels)
    sheet.add("hami_vgpu_memory_limit_bytes", limit, labels)
    sheet.add("hami_container_device_memory_bytes", use.used_bytes, labels)
    sheet.add("hami_container_device_utilization_ratio", busy, labels)
    sheet.add("hami_container_last_kernel_elapsed_seconds", idle_s, labels)
    sheet.add("hami_vgpu_memory_context_bytes", context, labels)
    sheet.add("hami_vgpu_memory_module_bytes", 0, labels)
    sheet.add("hami_vgpu_memory_buffer_bytes", max(0, use.used_bytes - context), labels)
    if legacy:
        old = dict(zip(_OLD_SHARE, (labels[name] for name in _SHARE), strict=True))
        kinds = {"context": str(context), "module": "0", "data": str(max(0, use.used_bytes - context)), "offset": "0"}
        sheet.add("vGPU_device_memory_usage_in_bytes", use.used_bytes, old)
        sheet.add("vGPU_device_memory_limit_in_bytes", limit, old)
        sheet.add("Device_memory_desc_of_container", use.used_bytes, {**old, **kinds})
        sheet.add("Device_utilization_desc_of_container", busy, old)
        sheet.add("Device_last_kernel_of_container", idle_s, old)


def _partitions(sheet: Sheet, workload: Workload, *, legacy: bool) -> None:
    """The instances as the node agent's record has them. `device_uuid` is the card that they lie on."""
    for position, made in enumerate(workload.partitions):
        labels = {
            **owner_labels(workload),
            "vdevice_index": str(position),
            "device_uuid": made.device_uuid[:_UUID_BYTES],
            "zone": _ZONE,
            "mig_uuid": made.uuid,
            "profile": made.partition.profile,
            "gpu_instance_id": str(made.gpu_instance),
            "compute_instance_id": str(made.compute_instance),
        }
        sheet.add("hami_mig_device_info", 1, labels)
        if legacy:
            old = dict(zip(_OLD_SHARE, (labels[name] for name in _SHARE), strict=True))
            sheet.add("MigInfo", 1, {**old, "instanceid": labels["gpu_instance_id"]})
