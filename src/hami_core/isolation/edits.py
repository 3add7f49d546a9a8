"""What every vendor's isolation library needs in a container: its limits, its region and itself."""

from __future__ import annotations

from collections.abc import Mapping

from hami_core.behaviour import AllocationContext, Mount

LIMITS_VARIABLE = "HAMI_LIMITS_FILE"
LIMITS_IN_CONTAINER = "/run/hami/limits"
"""Where the library looks when its environment was taken away."""


def library_env(context: AllocationContext) -> Mapping[str, str]:
    """The variable that leads the library to its limits."""
    return {LIMITS_VARIABLE: str(context.limits_file)}


def library_mounts(context: AllocationContext) -> tuple[Mount, ...]:
    """Files at their own paths, so that the environment is right in a container and in a local process alike."""
    limits, region = str(context.limits_file), str(context.region_file)
    mounts = (
        Mount(host_path=limits, container_path=limits),
        Mount(host_path=limits, container_path=LIMITS_IN_CONTAINER),
        Mount(host_path=region, container_path=region, read_only=False),
    )
    library = context.settings.get("library")
    return mounts if library is None else (*mounts, Mount(host_path=str(library), container_path=str(library)))
