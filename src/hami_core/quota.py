"""Namespace quotas on device memory and cores: ``limits.<resource>`` in a ResourceQuota's ``spec.hard``.

A limit is in the resource's own unit (256 MiB for some families); what is used is in MiB and core units.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from hami_core.errors import BadQuantity
from hami_core.family import Family
from hami_core.model import ContainerKind, PodRequest
from hami_core.objects import object_name
from hami_core.units import whole_number

if TYPE_CHECKING:
    from hami_core.registry import Registry

_PREFIX = "limits."
# The API server stores int64; a limit beyond the cards of the world is still a limit.
_MOST = 2**63 - 1


@attrs.frozen(kw_only=True)
class NamespaceQuota:
    """One ResourceQuota, as far as it speaks of devices: resource name -> limit, 0 blocks.

    `problems` are limits that are no whole numbers; the others count all the same.
    """

    namespace: str
    name: str
    limits: Mapping[str, int] = attrs.field(factory=dict, hash=False)
    problems: tuple[str, ...] = ()


def read_quota(item: Mapping[str, Any], registry: Registry) -> NamespaceQuota:
    """Read a ResourceQuota.

    Raises:
        BadWire: no usable ``metadata.name``.
    """
    namespace, name = object_name(item)
    spec = item.get("spec")
    hard = spec.get("hard") if isinstance(spec, Mapping) else None
    limits: dict[str, int] = {}
    problems: list[str] = []
    for resource in _tracked(registry):
        value = hard.get(_PREFIX + resource) if isinstance(hard, Mapping) else None
        if value is None:
            continue
        try:
            where = f"quota {namespace}/{name}: {_PREFIX}{resource}"
            limits[resource] = whole_number(value, where=where, high=_MOST)
        except BadQuantity as err:
            problems.append(str(err))
    return NamespaceQuota(namespace=namespace, name=name, limits=limits, problems=tuple(problems))


def combine(quotas: Iterable[NamespaceQuota]) -> dict[str, dict[str, int]]:
    """Limits per namespace and resource; where several quotas limit one resource, the smallest counts."""
    combined: dict[str, dict[str, int]] = {}
    for quota in sorted(quotas, key=lambda quota: (quota.namespace, quota.name)):
        limits = combined.setdefault(quota.namespace, {})
        for resource, limit in quota.limits.items():
            limits[resource] = min(limit, limits.get(resource, limit))
    return combined


def exceeded(
    pod: PodRequest, registry: Registry, *, limits: Mapping[str, int], used: Mapping[str, int]
) -> tuple[str, ...]:
    """Why `pod` would go over its namespace's quota; empty when it would not.

    A percentage of a card is not known in MiB before a card is chosen and counts as 0 here; the engine checks it then.

    Args:
        pod: what is asked for.
        registry: the families.
        limits: the namespace's combined limits, by resource.
        used: what its pods hold, by resource, in MiB and core units.
    """
    return tuple(
        f"{resource}: {asked} asked and {used.get(resource, 0)} used of {limits[resource] * factor} {unit}"
        for name in pod.families
        for resource, asked, factor, unit in _asked(pod, registry.families[name].family)
        if resource in limits and used.get(resource, 0) + asked > limits[resource] * factor
    )


def _asked(pod: PodRequest, family: Family) -> Iterator[tuple[str, int, int, str]]:
    """Resource, amount asked by the pod, factor of its limits, unit."""
    requests = [
        (container.kind, request)
        for container in pod.containers
        for request in container.devices
        if request.family == family.name
    ]
    if family.resources.memory is not None:
        memory = _peak((kind, (request.memory_mib or 0) * request.count) for kind, request in requests)
        yield family.resources.memory, memory, family.units.quota_factor, "MiB"
    if family.resources.cores is not None:
        cores = _peak((kind, request.core_units * request.count) for kind, request in requests)
        yield family.resources.cores, cores, 1, family.units.core_unit


def _peak(amounts: Iterable[tuple[ContainerKind, int]]) -> int:
    """Init containers run one after the other, before the rest that run together."""
    listed = list(amounts)
    alone = max((amount for kind, amount in listed if kind is ContainerKind.INIT), default=0)
    return max(alone, sum(amount for kind, amount in listed if kind is not ContainerKind.INIT))


def _tracked(registry: Registry) -> list[str]:
    families = (loaded.family.resources for loaded in registry.families.values())
    return sorted({name for names in families for name in (names.memory, names.cores) if name})
