"""Hygon DCU.

What differs from other vendors: the CSV register; a request without cores takes the whole card; Hygon's driver holds a
container to its share by a file that describes a virtual card.

Facts: wire contract sections 1.1 and 4.3.
Modules: `probe` (rocm_smi and hydmi), `vdev` (virtual cards), `allocate` (what a container gets).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from hami_core.family import Family, Isolation, RegisterForm, SelectorKeys, Units, VisibleForm, WireNames
from hami_core.hookspecs import hookimpl
from hami_core.packaged import machines_in
from hami_core.wire.device_config import ConfigSections, Count, Name, ResourceNames

if TYPE_CHECKING:
    from hami_core.behaviour import Allocator, Probe

VENDOR = "dcu"
WIRE = WireNames(
    register="hami.io/node-dcu-register",
    register_form=RegisterForm.CSV,
    handshake="hami.io/node-handshake-dcu",
    to_allocate="hami.io/dcu-devices-to-allocate",
    allocated="hami.io/dcu-devices-allocated",
)
SELECTORS = SelectorKeys(
    allow_types="hygon.com/use-dcutype",
    deny_types="hygon.com/nouse-dcutype",
    allow_uuids="hygon.com/use-gpuuuid",
    deny_uuids="hygon.com/nouse-gpuuuid",
)
ISOLATION = Isolation(
    library="lib/libhami_dcu.so",
    simulator_dir="lib/fake/dcu",
    visible_env="HIP_VISIBLE_DEVICES",
    visible_form=VisibleForm.INDEX,
)


class HygonConfig(ResourceNames, frozen=True, kw_only=True):
    """The ``hygon`` section of the device configuration."""

    resource_count_name: Name = "hygon.com/dcunum"
    resource_memory_name: Name = "hygon.com/dcumem"
    resource_core_name: Name = "hygon.com/dcucores"
    memory_factor: Count = 1  # 0: as 1


@hookimpl
def hami_families(config: ConfigSections) -> tuple[Family, ...]:
    """One family for every DCU model."""
    section = config.section("hygon", HygonConfig)
    return (
        Family(
            name="DCU",
            vendor=VENDOR,
            resources=section.resources,
            units=Units(memory_factor=max(1, section.memory_factor), default_cores=100),
            wire=WIRE,
            selectors=SELECTORS,
            isolation=ISOLATION,
        ),
    )


@hookimpl
def hami_machines() -> Iterable[Path]:
    """The machine files of this package."""
    return machines_in(__name__)


@hookimpl
def hami_probe(vendor: str) -> Probe | None:
    """rocm_smi, in a child process."""
    if vendor != VENDOR:
        return None
    from hami_dcu.probe import probe  # noqa: PLC0415 - a scheduler loads this plugin without a driver

    return probe


@hookimpl
def hami_allocate(family: Family) -> Allocator:
    """The device nodes, the virtual card and the mounts that give a container its share."""
    from hami_dcu.allocate import allocate  # noqa: PLC0415 - only the node and `hami run` allocate

    return allocate
