"""What a container needs to be held to its NVIDIA share: HAMi's environment, and the limits file."""

from __future__ import annotations

import attrs

from hami_core.behaviour import AllocationContext, ContainerEdits, Mount
from hami_core.family import Family
from hami_nvidia.config import settings_of

LIMITS_IN_CONTAINER = "/run/hami/limits"  # where the library looks when its environment was taken away


@attrs.frozen
class NvidiaAllocate:
    """Environment and mounts for one container. The limits file rules; HAMi's variables are for its own library."""

    family: Family

    def __call__(self, context: AllocationContext) -> ContainerEdits:
        """Edits for the container that holds `context.shares`, cards in the order it shall see them."""
        settings = settings_of(self.family)
        isolation = self.family.isolation
        assert isolation is not None
        uuids = ",".join(dict.fromkeys(share.uuid for share in context.shares))
        env = {
            isolation.visible_env: uuids,
            isolation.runtime_env or isolation.visible_env: uuids,
            "HAMI_LIMITS_FILE": str(context.limits_file),
            "CUDA_DEVICE_MEMORY_SHARED_CACHE": str(context.region_file),
        }
        for position, share in enumerate(context.shares):
            # HAMi's library reads 0 as "no limit", so an empty share is given as the smallest limit there is.
            env[f"CUDA_DEVICE_MEMORY_LIMIT_{position}"] = f"{max(1, share.memory_mib)}m"
        if context.shares:
            # HAMi has one variable for all cards; the limits file carries each card's own.
            env["CUDA_DEVICE_SM_LIMIT"] = str(context.shares[0].core_units)
        if context.oversubscribe:
            env["CUDA_OVERSUBSCRIBE"] = "true"
        if context.priority is not None:
            env["CUDA_TASK_PRIORITY"] = str(context.priority)
        policy = context.core_policy if context.core_policy != "default" else settings.core_policy
        if policy != "default":
            env["GPU_CORE_UTILIZATION_POLICY"] = policy
        level = context.settings.get("log_level")
        if level is None:
            level = settings.lib_cuda_log_level
        if level is not None:
            env["LIBCUDA_LOG_LEVEL"] = str(level)
        return ContainerEdits(env=env, mounts=self._mounts(context))

    def _mounts(self, context: AllocationContext) -> tuple[Mount, ...]:
        """Files at their own paths, so that the environment is right in a container and in a local process alike."""
        limits, region = str(context.limits_file), str(context.region_file)
        mounts = (
            Mount(host_path=limits, container_path=limits),
            Mount(host_path=limits, container_path=LIMITS_IN_CONTAINER),
            Mount(host_path=region, container_path=region, read_only=False),
        )
        library = context.settings.get("library")
        return mounts if library is None else (*mounts, Mount(host_path=str(library), container_path=str(library)))
