"""Hygon DCU.

What differs from other vendors: nothing but names, the CSV register, and that a request without cores takes the whole
card. Hygon's device plugin makes the virtual card, so nothing is allocated here.

Facts: wire contract sections 1.1 and 4.3.
"""

from __future__ import annotations

from hami_core.family import Family, RegisterForm, SelectorKeys, Units, WireNames
from hami_core.hookspecs import hookimpl
from hami_core.wire.device_config import ConfigSections, Count, Name, ResourceNames

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
        ),
    )
