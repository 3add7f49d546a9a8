"""The ``vnpus`` section of HAMi's device configuration, and the chips built in."""

from __future__ import annotations

import attrs
import msgspec

from hami_core.family import Family
from hami_core.values import whole
from hami_core.wire.device_config import Count, Name, Positive


class TemplateConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A partition that the firmware can cut a card into; memory in MiB."""

    name: Name
    memory: Positive
    ai_core: Count = 0
    ai_cpu: Count = msgspec.field(default=0, name="aiCPU")


class ChipConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One chip; memory in MiB. An empty resource name means that the chip has no such resource."""

    chip_name: Name
    common_word: Name
    resource_name: Name
    resource_memory_name: str = ""
    resource_core_name: str = ""
    memory_allocatable: Positive
    memory_capacity: Count = 0
    memory_factor: Count = 1  # 0: as 1
    ai_core: Count = 0
    ai_cpu: Count = msgspec.field(default=0, name="aiCPU")
    runtime_class_name: str = ""
    overwrite_env: bool = False
    super_pod: bool = False
    templates: tuple[TemplateConfig, ...] = ()


def _chip(
    name: str,
    word: str,
    memory: tuple[int, int],
    cores: tuple[int, int],
    *templates: tuple[str, int, int, int],
    super_pod: bool = False,
) -> ChipConfig:
    allocatable, capacity = memory
    ai_core, ai_cpu = cores
    return ChipConfig(
        chip_name=name,
        common_word=word,
        resource_name=f"huawei.com/{word}",
        resource_memory_name=f"huawei.com/{word}-memory",
        resource_core_name=f"huawei.com/{word}-core",
        memory_allocatable=allocatable,
        memory_capacity=capacity,
        ai_core=ai_core,
        ai_cpu=ai_cpu,
        super_pod=super_pod,
        templates=tuple(
            TemplateConfig(name=label, memory=size, ai_core=core, ai_cpu=cpu) for label, size, core, cpu in templates
        ),
    )


# fmt: off
BUILTIN_CHIPS = (
    # chip       family           allocatable, all MiB  AI cores, CPUs  templates: name, MiB, AI cores, AI CPUs
    _chip("910A", "Ascend910A",       (32_768, 32_768), (30, 0), ("vir02", 2_184, 2, 0), ("vir04", 4_369, 4, 0),
          ("vir08", 8_738, 8, 0), ("vir16", 17_476, 16, 0)),
    _chip("910B2", "Ascend910B2",     (65_536, 65_536), (24, 6), ("vir03_1c_8g", 8_192, 3, 1),
          ("vir06_1c_16g", 16_384, 6, 1), ("vir12_3c_32g", 32_768, 12, 3)),
    _chip("910B3", "Ascend910B3",     (65_536, 65_536), (20, 7), ("vir05_1c_16g", 16_384, 5, 1),
          ("vir10_3c_32g", 32_768, 10, 3)),
    _chip("910B4-1", "Ascend910B4-1", (65_536, 65_536), (20, 7), ("vir05_1c_16g", 16_384, 5, 1),
          ("vir10_3c_32g", 32_768, 10, 3)),
    _chip("910B4", "Ascend910B4",     (32_768, 32_768), (20, 7), ("vir05_1c_8g", 8_192, 5, 1),
          ("vir10_3c_16g", 16_384, 10, 3)),
    _chip("310P3", "Ascend310P",      (21_527, 24_576), (8, 7), ("vir01", 3_072, 1, 1), ("vir02", 6_144, 2, 2),
          ("vir04", 12_288, 4, 4)),
    _chip("Ascend910", "Ascend910C",  (65_536, 65_536), (20, 7), ("vir05_1c_16g", 16_384, 5, 1),
          ("vir10_3c_32g", 32_768, 10, 3), super_pod=True),
)
# fmt: on


class VnpuConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The ``vnpus`` section; without a list of chips it means the built-in ones."""

    hami_vnpu_core: bool = False
    configs: tuple[ChipConfig, ...] = BUILTIN_CHIPS


@attrs.frozen(kw_only=True)
class ChipSettings:
    """What only Ascend's own rules ask of a chip."""

    whole_card_mib: int = attrs.field(validator=whole(1))  # what a container gets that takes a whole card
    capacity_mib: int = attrs.field(validator=whole(1))  # the most a container may write
    has_rings: bool = False  # cards form network rings, which the register names
    in_pairs: bool = False  # two cards are one module (910C)
    hides_others: bool = False  # containers that ask for nothing get an empty list of visible cards
    soft_mode: bool = False  # for nodes that say nothing themselves
    ai_cpus: int = attrs.field(default=0, validator=whole(0))  # of a card; 0: not counted


def settings_of(family: Family) -> ChipSettings:
    """The settings that a family of this plugin was made from."""
    assert isinstance(family.settings, ChipSettings)
    return family.settings
