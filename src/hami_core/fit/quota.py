"""Namespace quotas as the engine sees them: limits, what is charged, and the room left for a pod."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hami_core.family import Family
from hami_core.fit.plan import Room
from hami_core.fit.state import Holding
from hami_core.fit.usage import family_totals
from hami_core.model import PodRequest

if TYPE_CHECKING:
    from hami_core.registry import Registry


class Quotas:
    """Limits per namespace and resource, and memory and cores charged per namespace and family."""

    def __init__(self) -> None:
        self._limits: dict[str, dict[str, int]] = {}
        self._charged: dict[tuple[str, str], tuple[int, int]] = {}

    def set_limits(self, namespace: str, limits: Mapping[str, int]) -> None:
        """Replace a namespace's limits; an empty mapping lifts them."""
        if limits:
            self._limits[namespace] = dict(limits)
        else:
            self._limits.pop(namespace, None)

    def charge(self, held: Holding, times: int) -> None:
        """Charge (`times` 1) or refund (-1) a pod's namespace."""
        for family, (memory_mib, core_units) in family_totals(dict(held.taken)).items():
            account = held.namespace, family
            memory_before, cores_before = self._charged.get(account, (0, 0))
            after = memory_before + times * memory_mib, cores_before + times * core_units
            if after == (0, 0):
                self._charged.pop(account, None)
            else:
                self._charged[account] = after

    def rooms(self, pod: PodRequest, registry: Registry) -> dict[str, Room]:
        """What is left for `pod`, by family, where a limit applies."""
        limits = self._limits.get(pod.namespace)
        if not limits:
            return {}
        rooms = {}
        for name in pod.families:
            loaded = registry.families.get(name)
            if loaded is not None:
                room = self._room(pod.namespace, loaded.family, limits)
                if room != Room():
                    rooms[name] = room
        return rooms

    def _room(self, namespace: str, family: Family, limits: Mapping[str, int]) -> Room:
        memory_mib, core_units = self._charged.get((namespace, family.name), (0, 0))
        memory_limit = limits.get(family.resources.memory or "")
        core_limit = limits.get(family.resources.cores or "")
        return Room(
            None if memory_limit is None else memory_limit * family.units.quota_factor - memory_mib,
            None if core_limit is None else core_limit - core_units,
        )

    def limits(self, namespace: str) -> Mapping[str, int]:
        """A namespace's limits by resource, in the resources' own units."""
        return dict(self._limits.get(namespace, {}))

    def used(self, namespace: str, registry: Registry) -> dict[str, int]:
        """What a namespace's pods hold, by resource, in MiB and core units."""
        used: dict[str, int] = {}
        for name, loaded in registry.families.items():
            resources = loaded.family.resources
            amounts = self._charged.get((namespace, name), (0, 0))
            for resource, amount in zip((resources.memory, resources.cores), amounts, strict=True):
                if resource is not None and amount:
                    used[resource] = used.get(resource, 0) + amount
        return used

    def copy(self) -> Quotas:
        """An independent copy."""
        other = Quotas()
        other._limits = {namespace: dict(limits) for namespace, limits in self._limits.items()}
        other._charged = dict(self._charged)
        return other
