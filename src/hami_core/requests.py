"""From a pod to what it asks for: the only place where resources become a `DeviceRequest`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from hami_core.behaviour import RequestParser
from hami_core.errors import AdmissionRefused, BadWire, shown
from hami_core.family import Family, SelectorKeys
from hami_core.model import ContainerRequest, DeviceRequest, PodRequest, ScoringWeights, Selector
from hami_core.objects import ContainerFacts, PodFacts
from hami_core.units import INT32_MAX, memory_mib, whole_number
from hami_core.wire.fields import parse_bool

if TYPE_CHECKING:
    from hami_core.registry import Registry

NODE_POLICY = "hami.io/node-scheduler-policy"
DEVICE_POLICY = "hami.io/gpu-scheduler-policy"
SCORING_WEIGHTS = "hami.io/device-scoring-weights"

_WHOLE_CARD_PERCENT = 100


@attrs.frozen
class TableRequest:
    """Reads count, memory, memory percentage and cores by the family's table of names and units.

    `cores_scale` is for families whose admission writes a card's worth of cores per card asked for (Iluvatar): the
    range grows with the count, and a share takes at most one card's worth.
    """

    family: Family
    cores_scale: bool = False

    def __call__(self, pod: PodFacts, container: ContainerFacts) -> DeviceRequest | None:
        """What `container` asks of the family, or None when it names no count or a count of 0.

        Raises:
            BadQuantity: a quantity is not a whole number in its range.
            AdmissionRefused: memory is asked for twice, as a size and as a percentage.
        """
        resources, units = self.family.resources, self.family.units
        count = self._whole(pod, container, resources.count, high=INT32_MAX)
        if not count:
            return None
        cards = count if units.totals_are_split else 1
        memory, percent = self._memory(pod, container, cards)
        most = units.cores_per_card * (count if self.cores_scale else cards)
        cores = self._whole(pod, container, resources.cores, high=most)
        return DeviceRequest(
            family=self.family.name,
            count=count,
            memory_mib=memory,
            memory_percent=percent,
            core_units=units.default_cores if cores is None else min(cores // cards, units.cores_per_card),
        )

    def _memory(self, pod: PodFacts, container: ContainerFacts, cards: int) -> tuple[int | None, int | None]:
        """Memory on each card as MiB or as a percentage. A 0 is the same as leaving it out."""
        resources, units = self.family.resources, self.family.units
        percent = self._whole(pod, container, resources.memory_percent, high=_WHOLE_CARD_PERCENT, unit="percent")
        asked = container.asked(resources.memory)
        mib = 0
        if asked is not None and resources.memory:
            mib = memory_mib(asked, where=where(pod, container, resources.memory), unit_mib=units.quota_factor)
        if mib and percent:
            raise AdmissionRefused(
                f"{pod.where}, container {container.name}: {resources.memory} and {resources.memory_percent} both say "
                f"how much memory; drop {resources.memory_percent} to get {shown(asked)} as a size, "
                f"or {resources.memory} to get {percent} percent of the card"
            )
        if mib:
            return mib // cards, None
        if percent:
            return None, percent
        if units.default_memory_mib is not None:
            return units.default_memory_mib, None
        return None, _WHOLE_CARD_PERCENT

    def _whole(
        self, pod: PodFacts, container: ContainerFacts, resource: str | None, *, high: int, unit: str = ""
    ) -> int | None:
        asked = container.asked(resource)
        if asked is None or resource is None:
            return None
        return whole_number(asked, where=where(pod, container, resource), high=high, unit=unit)


def table_request(family: Family) -> RequestParser:
    """How a family's requests are read when its plugin says nothing more: from its table."""
    return TableRequest(family)


def where(pod: PodFacts, container: ContainerFacts, resource: str) -> str:
    """How messages name a resource of a container."""
    return f"{pod.where}, container {container.name}: {resource}"


def pod_request(
    pod: PodFacts, registry: Registry, *, node_policy: str = "binpack", device_policy: str = "spread"
) -> PodRequest:
    """What a pod asks for, over all families.

    Args:
        pod: the pod, after admission.
        registry: the families that may be asked for.
        node_policy: the cluster's default, for pods that name none.
        device_policy: as `node_policy`.

    Raises:
        AdmissionRefused: contradicting resources.
        BadQuantity: a malformed resource.
        BadWire: a malformed annotation.
    """
    containers = tuple(
        ContainerRequest(name=container.name, kind=container.kind, devices=_devices(pod, container, registry))
        for container in pod.containers
    )
    asked = sorted({device.family for container in containers for device in container.devices})
    return PodRequest(
        namespace=pod.namespace,
        name=pod.name,
        uid=pod.uid,
        containers=containers,
        node_policy=pod.annotations.get(NODE_POLICY, "").strip() or node_policy,
        device_policy=pod.annotations.get(DEVICE_POLICY, "").strip() or device_policy,
        weights=scoring_weights(pod.annotations, where=pod.where),
        selectors={name: selector(registry.families[name].family.selectors, pod.annotations) for name in asked},
        annotations=pod.annotations,
    )


def _devices(pod: PodFacts, container: ContainerFacts, registry: Registry) -> tuple[DeviceRequest, ...]:
    found = (loaded.request(pod, container) for loaded in registry.families.values())
    return tuple(request for request in found if request is not None)


def selector(keys: SelectorKeys, annotations: Mapping[str, str]) -> Selector:
    """Read a family's selector annotations. An empty list is no constraint; blanks around entries do not count."""

    def entries(key: str | None) -> tuple[str, ...]:
        text = annotations.get(key, "") if key else ""
        return tuple(entry.strip() for entry in text.split(",") if entry.strip())

    numa = annotations.get(keys.numa_bind, "") if keys.numa_bind else ""
    mode = annotations.get(keys.mode, "") if keys.mode else ""
    return Selector(
        allow_types=entries(keys.allow_types),
        deny_types=entries(keys.deny_types),
        allow_uuids=entries(keys.allow_uuids),
        deny_uuids=entries(keys.deny_uuids),
        numa_bind=parse_bool(numa) is True,
        mode=mode or None,
    )


def scoring_weights(annotations: Mapping[str, str], *, where: str) -> ScoringWeights:
    """Read ``hami.io/device-scoring-weights``: ``slot=1,core=2,memory=0`` in any order, each exactly once.

    Raises:
        BadWire: anything else.
    """
    text = annotations.get(SCORING_WEIGHTS)
    if text is None:
        return ScoringWeights()
    what = f"{where}: annotation {SCORING_WEIGHTS}"
    wanted = f"must be slot=N,core=N,memory=N with whole numbers, not all 0; got {shown(text)}"
    values: dict[str, int] = {}
    for part in text.split(","):
        name, _, number = (piece.strip() for piece in part.partition("="))
        if name not in ("slot", "core", "memory") or name in values or not _is_weight(number):
            raise BadWire(what=what, problem=wanted, position=shown(part))
        values[name] = int(number)
    if len(values) != 3 or not any(values.values()):  # noqa: PLR2004 - the three names above
        raise BadWire(what=what, problem=wanted)
    return ScoringWeights(**values)


def _is_weight(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= INT32_MAX  # noqa: PLR2004
