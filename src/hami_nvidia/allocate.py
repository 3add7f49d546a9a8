"""What a container needs to be held to its NVIDIA share: HAMi's environment, and the limits file."""

from __future__ import annotations

import attrs

from hami_core.behaviour import AllocationContext, ContainerEdits
from hami_core.family import Family
from hami_core.isolation.edits import library_env, library_mounts
from hami_nvidia.config import settings_of


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
            **library_env(context),
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
        return ContainerEdits(env=env, mounts=library_mounts(context))
