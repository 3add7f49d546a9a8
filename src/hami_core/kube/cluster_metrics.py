"""Cards, shares and quotas as Prometheus' text, under HAMi's names of today and, on request, its older ones.

Written here and not through the client library: a large cluster has half a million samples, and the library takes
twelve microseconds for each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import attrs

from hami_core.errors import BadWire, UnknownName
from hami_core.placement import NODE
from hami_core.units import MIB
from hami_core.wire.partitions import PARTITIONS, decode_partitions

if TYPE_CHECKING:
    from hami_core.kube.cache import Cache
    from hami_core.model import DeviceUse

HELP: Mapping[str, str] = {
    "memory_limit": "Memory of the card that may be shared, bytes.",
    "core_limit": "Cores of the card that may be shared.",
    "shared_count": "Containers that share the card.",
    "cores": "Cores of the card that are given away.",
    "memory_part": "Part of the card's memory that is given away.",
    "memory": "Memory of the card that is given away, bytes.",
    "overview": "Memory of the card that is given away, bytes.",
    "share_memory": "Memory of a container's share, bytes.",
    "share_cores": "Cores of a container's share.",
    "partition": "1 for each hardware partition that a container was given and its node has made.",
    "quota_limit": "A namespace's limit, in the resource's own unit.",
    "quota_used": "What a namespace uses, in MiB or core units.",
}
"""What each metric says, whatever it is called."""
_ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


@attrs.frozen(kw_only=True)
class Names:
    """What metrics and labels are called. A metric without a name is left out; label texts are format strings."""

    metrics: Mapping[str, str] = attrs.field(hash=False)
    card: str  # node, uuid, index, model
    part_card: str  # as `card`: the older name of the memory ratio had one label less
    cores: str  # cores given away
    limit: str  # memory limit in MiB
    share: str  # namespace, node, pod, container, uuid
    partition: str  # node, uuid, index, uuid of the partition, profile, its ids, place
    quota_limit: str  # namespace, resource
    quota_used: str  # namespace, resource, limit

    def labels(self, key: str) -> str:
        """The label text of the metric `key`, with places for the values."""
        return {
            "share_memory": self.share,
            "share_cores": self.share,
            "partition": self.partition,
            "quota_limit": self.quota_limit,
            "quota_used": self.quota_used,
            "memory_part": self.part_card,
            "memory": self.card + self.cores,
            "overview": self.card + self.cores + self.limit,
        }.get(key, self.card)


_CARD = 'node="{0}",device_uuid="{1}",device_index="{2}",device_type="{3}",zone="vGPU"'
TODAY = Names(
    metrics={
        "memory_limit": "hami_gpu_memory_limit_bytes",
        "core_limit": "hami_gpu_core_limit_ratio",
        "shared_count": "hami_gpu_shared_count",
        "cores": "hami_gpu_core_allocated_ratio",
        "memory_part": "hami_node_gpu_memory_allocated_ratio",
        "memory": "hami_gpu_memory_allocated_bytes",
        "overview": "hami_node_gpu_overview",
        "share_memory": "hami_vgpu_memory_allocated_bytes",
        "share_cores": "hami_vgpu_core_allocated_ratio",
        "partition": "hami_node_gpu_mig_instance_info",
        "quota_limit": "hami_resource_quota_limit",
        "quota_used": "hami_resource_quota_used",
    },
    card=_CARD,
    part_card=_CARD,
    cores=',device_cores="{0}"',
    limit=',device_memory_limit="{0}"',
    share='namespace="{0}",node="{1}",pod="{2}",container_index="{3}",device_uuid="{4}",zone="vGPU"',
    partition='node="{0}",device_uuid="{1}",device_index="{2}",mig_uuid="{3}",profile="{4}",gpu_instance_id="{5}",'
    'compute_instance_id="{6}",placement_start="{7}",placement_size="{8}",zone="vGPU"',
    quota_limit='namespace="{0}",quota_name="{1}",zone="vGPU"',
    quota_used='namespace="{0}",quota_name="{1}",limit="{2}",zone="vGPU"',
)
LEGACY = Names(
    metrics={
        "memory_limit": "GPUDeviceMemoryLimit",
        "core_limit": "GPUDeviceCoreLimit",
        "shared_count": "GPUDeviceSharedNum",
        "cores": "GPUDeviceCoreAllocated",
        "memory_part": "nodeGPUMemoryPercentage",
        "memory": "GPUDeviceMemoryAllocated",
        "overview": "nodeGPUOverview",
        "share_memory": "vGPUMemoryAllocated",
        "share_cores": "vGPUCoreAllocated",
        "quota_used": "QuotaUsed",
    },
    card='nodeid="{0}",deviceuuid="{1}",deviceidx="{2}",devicetype="{3}",zone="vGPU"',
    part_card='nodeid="{0}",deviceuuid="{1}",deviceidx="{2}",zone="vGPU"',
    cores=',devicecores="{0}"',
    limit=',devicememorylimit="{0}"',
    share='podnamespace="{0}",nodename="{1}",podname="{2}",containeridx="{3}",deviceuuid="{4}",zone="vGPU"',
    partition="",
    quota_limit="",
    quota_used='quotanamespace="{0}",quotaName="{1}",limit="{2}",zone="vGPU"',
)


def cluster_text(cache: Cache, names: Names) -> str:
    """The cluster's metrics. May run in a thread of its own: each look at the fleet is one step."""
    page = _Page(names)
    for node, use in _uses(cache):
        _card(page, node, use)
    _shares(page, cache)
    _partitions(page, cache)
    _quotas(page, cache)
    return page.text()


class _Page:
    """Samples by metric, as the format wants them."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self._lines: dict[str, list[str]] = {key: [] for key in names.metrics}

    def add(self, key: str, labels: str, value: float) -> None:
        lines = self._lines.get(key)
        if lines is not None:
            lines.append(f"{self.names.metrics[key]}{{{labels}}} {value}\n")

    def text(self) -> str:
        return "".join(
            f"# HELP {self.names.metrics[key]} {HELP[key]}\n# TYPE {self.names.metrics[key]} gauge\n{''.join(lines)}"
            for key, lines in self._lines.items()
        )


def _uses(cache: Cache) -> Iterator[tuple[str, DeviceUse]]:
    for node in cache.fleet.nodes:
        try:
            uses = cache.fleet.uses(node)
        except UnknownName:  # gone since the names were taken
            continue
        for use in uses:
            yield node, use


def _card(page: _Page, node: str, use: DeviceUse) -> None:
    card, names = use.device, page.names
    place = node, _escaped(card.uuid), card.index, _escaped(card.model)
    labels = names.card.format(*place)
    with_cores = labels + names.cores.format(use.core_units_used)
    used_bytes = use.memory_used_mib * MIB
    page.add("memory_limit", labels, card.memory_mib * MIB)
    page.add("core_limit", labels, card.core_units)
    page.add("shared_count", labels, use.slots_used)
    page.add("cores", labels, use.core_units_used)
    part = use.memory_used_mib / card.memory_mib if card.memory_mib else 0
    page.add("memory_part", names.part_card.format(*place), part)
    page.add("memory", with_cores, used_bytes)
    page.add("overview", with_cores + names.limit.format(card.memory_mib), used_bytes)


def _shares(page: _Page, cache: Cache) -> None:
    for key in list(cache.placed):
        held = cache.fleet.holding(key)
        if held is None:
            continue
        namespace, _, name = held.label.partition("/")
        for index, container in enumerate(held.placement.containers):
            for shares in container.shares.values():
                for share in shares:
                    labels = page.names.share.format(namespace, held.placement.node, name, index, _escaped(share.uuid))
                    page.add("share_memory", labels, share.memory_mib * MIB)
                    page.add("share_cores", labels, share.core_units)


def _partitions(page: _Page, cache: Cache) -> None:
    for pod in list(cache.placed.values()):
        text = pod.annotations.get(PARTITIONS)
        node = pod.annotations.get(NODE, "")
        if text is None:
            continue
        try:
            entries = decode_partitions(text, what=pod.where)
        except BadWire:  # said where the pod was read
            continue
        devices = cache.devices(node)
        for entry in entries:
            device, made, place = devices.get(entry.device_uuid), entry.made, entry.partition.placement
            if made is None or device is None:
                continue
            card = node, _escaped(entry.device_uuid), device.index
            ids = made.gpu_instance, made.compute_instance, place.start, place.size
            labels = page.names.partition.format(*card, _escaped(made.uuid), _escaped(entry.partition.profile), *ids)
            page.add("partition", labels, 1)


def _quotas(page: _Page, cache: Cache) -> None:
    for namespace in sorted({where for where, _name in list(cache.quotas)}):
        limits, taken = cache.fleet.quota(namespace)
        for resource, most in sorted(limits.items()):
            page.add("quota_limit", page.names.quota_limit.format(namespace, resource), most)
            page.add("quota_used", page.names.quota_used.format(namespace, resource, most), taken.get(resource, 0))


def _escaped(text: str) -> str:
    """A label's value; names of Kubernetes objects need none of this."""
    return text.translate(_ESCAPED)
