"""Short words for the vendors' unit tests: a family, a pod with one container, a placement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType

from hami_core.behaviour import Edits
from hami_core.family import Family
from hami_core.model import ContainerShares, Device, DeviceRequest, DeviceShare, Placement, PodRequest
from hami_core.objects import ContainerFacts, NodeFacts, PodFacts
from hami_core.registry import LoadedFamily, load_registry
from hami_core.wire.device_config import ConfigSections


def loaded(plugin: ModuleType, name: str, config: str = "") -> LoadedFamily:
    """The family `name` of `plugin` under a device configuration (YAML)."""
    sections = ConfigSections.parse(config) if config else ConfigSections.empty()
    return load_registry(sections, [plugin]).family(name)


def pod(annotations: Mapping[str, str] | None = None, **limits: str) -> tuple[PodFacts, ContainerFacts]:
    """A pod `p` with one container `c` of these limits."""
    container = ContainerFacts(name="c", limits={key: value for key, value in limits.items() if value})
    return PodFacts(name="p", annotations=annotations or {}, containers=(container,)), container


def admit(family: LoadedFamily, limits: Mapping[str, str], annotations: Mapping[str, str] | None = None) -> Edits:
    """What admission changes for a container with these limits."""
    facts, container = pod(annotations, **limits)
    return family.admit(facts, container)


def request(family: LoadedFamily, limits: Mapping[str, str]) -> DeviceRequest | None:
    """What a container with these limits asks for."""
    facts, container = pod(None, **limits)
    return family.request(facts, container)


def devices(family: LoadedFamily, node: NodeFacts) -> tuple[Device, ...]:
    """The family's cards on `node`."""
    return family.codec.decode(node)


def annotations_of(
    family: LoadedFamily,
    cards: Sequence[Device],
    *containers: Sequence[tuple[str, int, int]],
    pod_annotations: Mapping[str, str] | None = None,
) -> Mapping[str, str]:
    """What the family writes beside the standard annotations; a share is (uuid, MiB, cores)."""
    assert family.place is not None
    placement = Placement(
        node="n1",
        containers=tuple(
            ContainerShares(
                shares={
                    family.family.name: tuple(
                        DeviceShare(uuid=uuid, memory_mib=memory_mib, core_units=core_units)
                        for uuid, memory_mib, core_units in shares
                    )
                }
            )
            for shares in containers
        ),
    )
    asked = PodRequest(name="p", annotations=pod_annotations or {})
    return family.place(placement, {card.uuid: card for card in cards}, asked, 1_700_000_000_123_456_789)


def card(family: Family, uuid: str, index: int = 0, **facts: object) -> Device:
    """A free card of `family`."""
    values: dict[str, object] = {"memory_mib": 65_536, "core_units": 100, "slots": 10, "model": family.name, **facts}
    return Device(uuid=uuid, family=family.name, index=index, **values)  # type: ignore[arg-type]
