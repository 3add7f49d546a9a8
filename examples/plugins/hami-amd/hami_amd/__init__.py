"""AMD GPUs.

What differs from other vendors: a request without cores takes the whole card; the register counts a card's cores in
compute units, while people ask in percent, so the codec reads every card as one of 100 percent.

Facts: HAMi 2.10, pkg/device/amd (names of resources and annotations); Linux, Documentation/gpu/amdgpu (sysfs).
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

import msgspec
from hami_core import hookimpl
from hami_core.behaviour import NodeCodec, Probe
from hami_core.family import Family, Resources, SelectorKeys, Units, WireNames
from hami_core.wire.device_config import ConfigSections, Name

from hami_amd.register import PercentRegister

VENDOR = "amd"
HAMI_API = ">=1,<2"

WIRE = WireNames(
    register="hami.io/node-amd-register",
    to_allocate="hami.io/amd-devices-to-allocate",
    allocated="hami.io/amd-devices-allocated",
)
SELECTORS = SelectorKeys(
    allow_types="amd.com/use-gputype",
    allow_uuids="amd.com/use-gpu-uuid",
    deny_uuids="amd.com/nouse-gpu-uuid",
)


class AmdConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The ``amd`` section of the device configuration."""

    resource_count_name: Name = "amd.com/gpu"
    resource_memory_name: Name = "amd.com/gpumem"
    resource_core_name: Name = "amd.com/gpucores"


@hookimpl
def hami_families(config: ConfigSections) -> Iterable[Family]:
    """One family for every AMD GPU."""
    section = config.section("amd", AmdConfig)
    return (
        Family(
            name="AMD",
            vendor=VENDOR,
            resources=Resources(
                count=section.resource_count_name,
                memory=section.resource_memory_name,
                cores=section.resource_core_name,
            ),
            units=Units(default_cores=100),
            wire=WIRE,
            selectors=SELECTORS,
        ),
    )


@hookimpl
def hami_machines() -> Iterable[Path]:
    """The machine files of this package."""
    return sorted((Path(str(files(__name__))) / "machines").glob("*.json"))


@hookimpl
def hami_probe(vendor: str) -> Probe | None:
    """The amdgpu driver's files, read in a child process."""
    if vendor != VENDOR:
        return None
    from hami_amd.probe import probe

    return probe


@hookimpl
def hami_node_codec(family: Family) -> NodeCodec:
    """The register table, its cores as percent."""
    return PercentRegister(family)
