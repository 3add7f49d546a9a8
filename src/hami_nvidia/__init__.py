"""NVIDIA GPUs.

What differs from other vendors: an absent count is filled in, and a whole card takes all cores; MIG cards are cut into
profiles; cards can be chosen by how they are connected; their library, drivers' doubles and machines come along.

Facts: wire contract sections 1.1, 1.3, 2, 3.6, 4.1 and 5. Modules: `config` (the configuration), `admit` (completing a
request), `mig` (profiles), `topology` (pairs of cards), `probe` (NVML), `allocate` (what a container gets).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hami_core.behaviour import (
    Admitter,
    Allocator,
    FitBehaviour,
    NodeCodec,
    PartitionTool,
    PlacementWriter,
    Probe,
    Watch,
)
from hami_core.family import Family, Isolation, Resources, SelectorKeys, Units, WireNames
from hami_core.hookspecs import hookimpl
from hami_core.packaged import machines_in
from hami_core.wire.device_config import ConfigSections
from hami_nvidia.config import NvidiaConfig, read_config, settings_of

VENDOR = "nvidia"

WIRE = WireNames(
    register="hami.io/node-nvidia-register",
    handshake="hami.io/node-handshake",
    to_allocate="hami.io/vgpu-devices-to-allocate",
    allocated="hami.io/vgpu-devices-allocated",
)
SELECTORS = SelectorKeys(
    allow_types="nvidia.com/use-gputype",
    deny_types="nvidia.com/nouse-gputype",
    allow_uuids="nvidia.com/use-gpuuuid",
    deny_uuids="nvidia.com/nouse-gpuuuid",
    numa_bind="nvidia.com/numa-bind",
    mode="nvidia.com/vgpu-mode",
)
ISOLATION = Isolation(
    library="lib/libhami_nvidia.so",
    simulator_dir="lib/fake",
    visible_env="CUDA_VISIBLE_DEVICES",
    runtime_env="NVIDIA_VISIBLE_DEVICES",
)


@hookimpl
def hami_families(config: ConfigSections) -> tuple[Family, ...]:
    """One family for every NVIDIA model."""
    return (_family(read_config(config)),)


def _family(settings: NvidiaConfig) -> Family:
    return Family(
        name="NVIDIA",
        vendor=VENDOR,
        resources=Resources(
            count=settings.resource_count_name,
            memory=settings.resource_memory_name or None,
            memory_percent=settings.resource_memory_percentage_name or None,
            cores=settings.resource_core_name or None,
            priority=settings.resource_priority_name or None,
        ),
        wire=WIRE,
        units=Units(
            memory_factor=max(1, settings.memory_factor),
            default_memory_mib=settings.default_memory or None,
            default_cores=settings.default_cores,
            default_count=settings.default_gpu_num or None,
        ),
        selectors=SELECTORS,
        runtime_class=settings.runtime_class_name or None,
        isolation=ISOLATION,
        sharing=settings.sharing,
        settings=settings,
    )


@hookimpl
def hami_machines() -> Iterable[Path]:
    """The machine files of this package."""
    return machines_in(__name__)


@hookimpl
def hami_probe(vendor: str) -> Probe | None:
    """NVML, in a child process."""
    if vendor != VENDOR:
        return None
    from hami_nvidia.probe import probe  # noqa: PLC0415 - a scheduler loads this plugin without NVML

    return probe


@hookimpl
def hami_watch(vendor: str) -> Watch | None:
    """NVML's events, in a child process."""
    if vendor != VENDOR:
        return None
    from hami_nvidia.watch import watch  # noqa: PLC0415 - as with the probe

    return watch


@hookimpl
def hami_partition(vendor: str) -> PartitionTool | None:
    """MIG instances through NVML, in a child process."""
    if vendor != VENDOR:
        return None
    from hami_nvidia.partition import partition  # noqa: PLC0415 - as with the probe

    return partition


@hookimpl
def hami_node_codec(family: Family) -> NodeCodec:
    """The register table, with the scores of pairs of cards beside it."""
    from hami_nvidia.topology import ScoredCodec  # noqa: PLC0415 - `hami --help` loads every plugin

    return ScoredCodec(family)


@hookimpl
def hami_admit(family: Family) -> Admitter:
    """HAMi's rules for a GPU container."""
    from hami_nvidia.admit import NvidiaAdmit  # noqa: PLC0415

    return NvidiaAdmit(family)


@hookimpl
def hami_fit(family: Family) -> FitBehaviour:
    """MIG partitions and the topology-aware choice of cards."""
    from hami_nvidia.mig import MigPartitioner  # noqa: PLC0415
    from hami_nvidia.topology import choose_connected, wants_topology  # noqa: PLC0415

    settings = settings_of(family)
    return FitBehaviour(
        partitioner=MigPartitioner(settings.mig_profile_allowlist),
        chooser=choose_connected,
        chooses=wants_topology,
    )


@hookimpl
def hami_place(family: Family) -> PlacementWriter:  # noqa: ARG001 - one writer serves the one family
    """The reservation of MIG partitions."""
    from hami_nvidia.mig import write_partitions  # noqa: PLC0415

    return write_partitions


@hookimpl
def hami_allocate(family: Family) -> Allocator:
    """The environment and mounts that hold a container to its share."""
    from hami_nvidia.allocate import NvidiaAllocate  # noqa: PLC0415

    return NvidiaAllocate(family)
