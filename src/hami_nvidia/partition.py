"""Makes and removes MIG instances through NVML. Runs in a child process, as the probe does, with the right to do so.

An instance is a GPU instance with one compute instance that takes all of it. What exists at the very place that is
asked for is taken over; nothing else that exists is ever touched. Facts about the calls: nvml.h of CUDA 13
(nvidia-nvml-dev).
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator
from typing import Any

import pynvml as nvml

from hami_core.behaviour import MadeInstance, PartitionAnswer, PartitionOrder, WantedInstance
from hami_core.errors import HamiError
from hami_nvidia.instances import instances, placement_of

_NO_INSTANCE = (nvml.NVML_ERROR_NOT_FOUND, nvml.NVML_ERROR_INVALID_ARGUMENT)


class CannotPartition(HamiError):
    """The driver does not make the instance."""


def partition(order: PartitionOrder) -> PartitionAnswer:
    """Remove what `order` drops, where nobody uses it, and make what it wants; all of it or none.

    Raises:
        CannotPartition: an instance cannot be made; those that this call made are gone again.
    """
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as err:
        raise CannotPartition(f"NVML does not start: {err}") from err
    try:
        kept = tuple(made for made in order.drop if not _drop(made))
        unreclaimed = tuple(each for each in order.reclaim if not _reclaim(each, order.taken))
        return PartitionAnswer(made=_make(order.make, order.taken), kept=kept, unreclaimed=unreclaimed)
    finally:
        nvml.nvmlShutdown()


def _make(wanted: tuple[WantedInstance, ...], taken: frozenset[str]) -> tuple[MadeInstance, ...]:
    done: list[MadeInstance] = []
    fresh: list[MadeInstance] = []
    try:
        for each in wanted:
            made, is_new = _make_one(each, taken)
            done.append(made)
            if is_new:
                fresh.append(made)
    except (nvml.NVMLError, CannotPartition) as err:
        for made in reversed(fresh):
            _drop(made)
        if isinstance(err, CannotPartition):
            raise
        raise CannotPartition(f"MIG instance {each.partition.profile} of {each.device_uuid}: {err}") from err
    return tuple(done)


def _make_one(wanted: WantedInstance, taken: frozenset[str]) -> tuple[MadeInstance, bool]:
    """The instance, and whether this call made it."""
    card = nvml.nvmlDeviceGetHandleByUUID(wanted.device_uuid)
    profile = _profile_id(card, wanted)
    place = wanted.partition.placement
    for instance in instances(card, profile):
        if placement_of(instance) == place:
            made = _named(card, wanted, instance)
            if made.uuid in taken:
                raise CannotPartition(f"MIG instance {made.uuid} is another container's")
            return made, False
    row = nvml.c_nvmlGpuInstancePlacement_t(place.start, place.size)
    instance = nvml.nvmlDeviceCreateGpuInstanceWithPlacement(card, profile, ctypes.byref(row))
    try:
        return _named(card, wanted, instance), True
    except BaseException:
        with contextlib.suppress(nvml.NVMLError):
            _destroy(instance)
        raise


def _named(card: Any, wanted: WantedInstance, instance: Any) -> MadeInstance:
    """The instance by the driver's names, with its compute instance, which is made where it is missing."""
    number = nvml.nvmlGpuInstanceGetInfo(instance).id
    try:
        nvml.nvmlGpuInstanceGetComputeInstanceById(instance, 0)
    except nvml.NVMLError as err:
        if err.value not in _NO_INSTANCE:
            raise
        nvml.nvmlGpuInstanceCreateComputeInstance(instance, _whole_compute_profile(instance))
    for handle in _mig_devices(card):
        if nvml.nvmlDeviceGetGpuInstanceId(handle) == number:
            return MadeInstance(
                uuid=nvml.nvmlDeviceGetUUID(handle),
                device_uuid=wanted.device_uuid,
                gpu_instance=number,
                compute_instance=nvml.nvmlDeviceGetComputeInstanceId(handle),
                partition=wanted.partition,
            )
    raise CannotPartition(f"{wanted.device_uuid}: the driver lists no device for GPU instance {number}")


def _whole_compute_profile(instance: Any) -> int:
    """The id of the compute instance profile with the most slices: all of the GPU instance."""
    found = []
    for number in range(nvml.NVML_COMPUTE_INSTANCE_PROFILE_COUNT):
        with contextlib.suppress(nvml.NVMLError):
            info = nvml.nvmlGpuInstanceGetComputeInstanceProfileInfo(
                instance, number, nvml.NVML_COMPUTE_INSTANCE_ENGINE_PROFILE_SHARED
            )
            found.append((info.sliceCount, -number, info.id))
    if not found:
        raise CannotPartition("the driver offers no compute instance profile")
    return int(max(found)[2])


def _drop(made: MadeInstance) -> bool:
    """Remove an instance; False where somebody uses it. One that is gone, or another one by now, is left."""
    try:
        card = nvml.nvmlDeviceGetHandleByUUID(made.device_uuid)
        instance = nvml.nvmlDeviceGetGpuInstanceById(card, made.gpu_instance)
        place = placement_of(instance)
    except nvml.NVMLError as err:
        return err.value in _NO_INSTANCE
    return place != made.partition.placement or _remove(card, instance)


def _reclaim(wanted: WantedInstance, taken: frozenset[str]) -> bool:
    """Remove the instance of this profile at this very place, as `_drop` does; one of `taken` is somebody's by now."""
    try:
        card = nvml.nvmlDeviceGetHandleByUUID(wanted.device_uuid)
        there = [each for each in instances(card, _profile_id(card, wanted)) if _is_at(each, wanted)]
        theirs = any(nvml.nvmlDeviceGetUUID(handle) in taken for each in there for handle in _devices_of(card, each))
    except (nvml.NVMLError, CannotPartition):
        return False
    return theirs or all(_remove(card, each) for each in there)


def _is_at(instance: Any, wanted: WantedInstance) -> bool:
    return bool(placement_of(instance) == wanted.partition.placement)


def _devices_of(card: Any, instance: Any) -> Iterator[Any]:
    number = nvml.nvmlGpuInstanceGetInfo(instance).id
    return (handle for handle in _mig_devices(card) if nvml.nvmlDeviceGetGpuInstanceId(handle) == number)


def _remove(card: Any, instance: Any) -> bool:
    """Remove an instance that nobody uses; whether it is gone."""
    if any(nvml.nvmlDeviceGetComputeRunningProcesses(handle) for handle in _devices_of(card, instance)):
        return False
    try:
        _destroy(instance)
    except nvml.NVMLError:
        return False
    return True


def _destroy(instance: Any) -> None:
    try:
        nvml.nvmlComputeInstanceDestroy(nvml.nvmlGpuInstanceGetComputeInstanceById(instance, 0))
    except nvml.NVMLError as err:
        if err.value not in _NO_INSTANCE:
            raise
    nvml.nvmlGpuInstanceDestroy(instance)


def _profile_id(card: Any, wanted: WantedInstance) -> int:
    for number in range(nvml.NVML_GPU_INSTANCE_PROFILE_COUNT):
        with contextlib.suppress(nvml.NVMLError):
            info = nvml.nvmlDeviceGetGpuInstanceProfileInfoV(card, number)
            name = info.name.decode() if isinstance(info.name, bytes) else str(info.name)
            if name.removeprefix("MIG ") == wanted.partition.profile:
                return int(info.id)
    raise CannotPartition(f"{wanted.device_uuid} offers no MIG profile {wanted.partition.profile}")


def _mig_devices(card: Any) -> Iterator[Any]:
    for index in range(nvml.nvmlDeviceGetMaxMigDeviceCount(card)):
        with contextlib.suppress(nvml.NVMLError):
            yield nvml.nvmlDeviceGetMigDeviceHandleByIndex(card, index)
