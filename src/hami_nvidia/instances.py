"""The GPU instances of a card as NVML lists them. Facts about the calls: nvml.h of CUDA 13 (nvidia-nvml-dev)."""

from __future__ import annotations

import ctypes
from typing import Any

import pynvml as nvml

from hami_core.model import PartitionPlacement


def instances(card: Any, profile_id: int) -> list[Any]:
    """Handles of the instances of one profile, whoever made them.

    Raises:
        NVMLError: the card has no MIG, or the driver tells this only to privileged users.
    """
    rows = (nvml.c_nvmlGpuInstance_t * nvml.NVML_GPU_INSTANCE_PROFILE_COUNT)()
    count = ctypes.c_uint()
    nvml.nvmlDeviceGetGpuInstances(card, profile_id, rows, ctypes.byref(count))
    return list(rows[: count.value])


def placement_of(instance: Any) -> PartitionPlacement:
    """Where on its card an instance lies. Raises NVMLError."""
    place = nvml.nvmlGpuInstanceGetInfo(instance).placement
    return PartitionPlacement(start=place.start, size=place.size)
