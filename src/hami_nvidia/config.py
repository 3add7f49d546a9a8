"""The ``nvidia`` section of HAMi's device configuration."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec

from hami_core.family import Family, Sharing
from hami_core.wire.device_config import ConfigSections, Count, Name

SECTION = "nvidia"

Percent = Annotated[int, msgspec.Meta(ge=0, le=100)]
Scale = Annotated[float, msgspec.Meta(gt=0)]

_PROFILE = re.compile(r"[1-9][0-9]*g\.\S+")


class MigAllowance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which MIG profiles cards may be cut into, for models whose name contains one of `models`."""

    models: tuple[str, ...]
    profiles: tuple[str, ...]


class NvidiaConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Resource names and defaults, under HAMi's key names. Memory is MiB, cores are percent."""

    resource_count_name: Name = "nvidia.com/gpu"
    resource_memory_name: str = "nvidia.com/gpumem"
    resource_memory_percentage_name: str = "nvidia.com/gpumem-percentage"
    resource_core_name: str = "nvidia.com/gpucores"
    resource_priority_name: str = "nvidia.com/priority"
    overwrite_env: bool = False
    default_memory: Count = 0  # 0: the whole card
    default_cores: Percent = 0  # 0: no limit
    default_gpu_num: Count = msgspec.field(default=1, name="defaultGPUNum")
    memory_factor: Count = 1
    device_split_count: Count = 10
    device_memory_scaling: Scale = 1.0
    device_core_scaling: Scale = 1.0
    pre_configured_device_memory: Count = 0
    enable_numa_topology: bool = False
    gpu_core_policy: Literal["", "default", "force", "disable"] = "default"
    lib_cuda_log_level: Annotated[int, msgspec.Meta(ge=0, le=4)] | None = None
    disable_core_limit: bool = False
    runtime_class_name: str = ""
    mig_profile_allowlist: tuple[MigAllowance, ...] | None = None  # None: what the node registered
    known_mig_geometries: Any = None  # HAMi before 2.10 took MIG capability from here; now the node registers it

    @property
    def core_policy(self) -> str:
        """How cores are held: default, force or disable."""
        return "disable" if self.disable_core_limit else self.gpu_core_policy or "default"

    @property
    def sharing(self) -> Sharing:
        """How nodes share their cards that say nothing else."""
        return Sharing(
            split_count=max(1, self.device_split_count),
            memory_scaling=self.device_memory_scaling,
            core_scaling=self.device_core_scaling,
            memory_mib=self.pre_configured_device_memory or None,
            numa=self.enable_numa_topology,
            core_policy=self.core_policy,
            log_level=self.lib_cuda_log_level,
        )


def read_config(config: ConfigSections) -> NvidiaConfig:
    """The section, checked.

    Raises:
        BadConfig: an unknown key, a wrong value, or an allowance that allows nothing.
    """
    settings = config.section(SECTION, NvidiaConfig)
    for index, allowance in enumerate(settings.mig_profile_allowlist or ()):
        path = (SECTION, "migProfileAllowlist", index)
        if not (allowance.models and allowance.profiles):
            raise config.bad(path, "needs at least one of models and one of profiles")
        for profile in allowance.profiles:
            if _PROFILE.fullmatch(profile) is None:
                raise config.bad((*path, "profiles"), f'must be MIG profile names such as 1g.10gb; got "{profile}"')
    return settings


def settings_of(family: Family) -> NvidiaConfig:
    """The settings that a family of this plugin was made from."""
    assert isinstance(family.settings, NvidiaConfig)
    return family.settings
