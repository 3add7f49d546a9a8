"""The names that HAMi's metrics had before 2.9, for dashboards that still ask for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import attrs
from prometheus_client.core import GaugeMetricFamily, Metric

_CARD = {
    "node": "nodeid",
    "device_uuid": "deviceuuid",
    "device_index": "deviceidx",
    "device_type": "devicetype",
    "device_cores": "devicecores",
    "device_memory_limit": "devicememorylimit",
    "zone": "zone",
}
_SHARE = {
    "namespace": "podnamespace",
    "node": "nodename",
    "pod": "podname",
    "container_index": "containeridx",
    "device_uuid": "deviceuuid",
    "zone": "zone",
}
_QUOTA = {"namespace": "quotanamespace", "quota_name": "quotaName", "limit": "limit", "zone": "zone"}


@attrs.frozen
class _Old:
    name: str
    labels: Mapping[str, str]  # today's label -> the old one; labels that are not here did not exist


_NAMES = {
    "hami_gpu_memory_limit_bytes": _Old("GPUDeviceMemoryLimit", _CARD),
    "hami_gpu_core_limit_ratio": _Old("GPUDeviceCoreLimit", _CARD),
    "hami_gpu_memory_allocated_bytes": _Old("GPUDeviceMemoryAllocated", _CARD),
    "hami_gpu_shared_count": _Old("GPUDeviceSharedNum", _CARD),
    "hami_gpu_core_allocated_ratio": _Old("GPUDeviceCoreAllocated", _CARD),
    "hami_node_gpu_overview": _Old("nodeGPUOverview", _CARD),
    "hami_node_gpu_memory_allocated_ratio": _Old(
        "nodeGPUMemoryPercentage", {label: old for label, old in _CARD.items() if label != "device_type"}
    ),
    "hami_vgpu_memory_allocated_bytes": _Old("vGPUMemoryAllocated", _SHARE),
    "hami_vgpu_core_allocated_ratio": _Old("vGPUCoreAllocated", _SHARE),
    "hami_resource_quota_used": _Old("QuotaUsed", _QUOTA),
}


def legacy(metrics: Iterable[Metric]) -> Iterator[Metric]:
    """The metrics under their old names; those that had none are left out."""
    for metric in metrics:
        old = _NAMES.get(metric.name)
        if old is None:
            continue
        labels = [label for label in (metric.samples[0].labels if metric.samples else ()) if label in old.labels]
        renamed = GaugeMetricFamily(old.name, metric.documentation, labels=[old.labels[label] for label in labels])
        for sample in metric.samples:
            renamed.add_metric([sample.labels[label] for label in labels], sample.value)
        yield renamed
