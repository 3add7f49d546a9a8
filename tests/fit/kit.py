"""Small families and a registry of them, so that these tests say only what they are about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hami_core.behaviour import FitBehaviour
from hami_core.family import Family, Resources, WireNames
from hami_core.fit import Fleet
from hami_core.hookspecs import hookimpl
from hami_core.model import (
    ContainerKind,
    ContainerRequest,
    ContainerShares,
    Device,
    DeviceRequest,
    DeviceShare,
    Placement,
    PodRequest,
)
from hami_core.objects import NodeFacts
from hami_core.registry import Registry, load_registry
from hami_core.score import builtin


def family(name: str, **more: Any) -> Family:
    word = name.lower()
    resources = Resources(count=f"{word}.test/card", memory=f"{word}.test/memory", cores=f"{word}.test/cores")
    return Family(
        name=name,
        vendor=word,
        resources=resources,
        wire=WireNames(register=f"{word}.test/register", allocated=f"{word}.test/allocated"),
        **more,
    )


GPU = family("GPU")
NPU = family("NPU", cards_per_pod=1)
FAMILIES = (GPU, NPU)


class Plugin:
    """The test families, with any behaviour a test gives one of them."""

    def __init__(self, families: Sequence[Family] = FAMILIES, fit: Mapping[str, FitBehaviour] | None = None) -> None:
        self.families = families
        self.fit = fit or {}

    @hookimpl
    def hami_families(self, config: Any) -> Sequence[Family]:
        return self.families

    @hookimpl
    def hami_fit(self, family: Family) -> FitBehaviour | None:
        return self.fit.get(family.name)


def registry(*more: object, families: Sequence[Family] = FAMILIES, **fit: FitBehaviour) -> Registry:
    return load_registry(plugins=[builtin, Plugin(families, fit), *more])


PLAIN = registry()


def card(uuid: str = "gpu-0", *, family: str = "GPU", **more: Any) -> Device:
    defaults: dict[str, Any] = {"model": f"{family}-A40", "memory_mib": 46_068, "slots": 10}
    return Device(uuid=uuid, family=family, **{**defaults, **more})


def fleet(*cards: Device, node: str = "node-a", registry: Registry = PLAIN) -> Fleet:
    made = Fleet(registry)
    made.upsert_node(NodeFacts(name=node), cards)
    return made


def ask(
    memory_mib: int | None = 1000, *, count: int = 1, cores: int = 0, family: str = "GPU", percent: int | None = None
):
    if percent is not None:
        memory_mib = None
    return DeviceRequest(family=family, count=count, memory_mib=memory_mib, memory_percent=percent, core_units=cores)


def pod(*asks: DeviceRequest | tuple[ContainerKind, DeviceRequest], name: str = "train", **more: Any) -> PodRequest:
    """A pod with one container per ask; a bare ask is an app container."""
    containers = []
    for index, item in enumerate(asks):
        kind, request = item if isinstance(item, tuple) else (ContainerKind.APP, item)
        containers.append(ContainerRequest(name=f"c{index}", kind=kind, devices=(request,)))
    return PodRequest(name=name, containers=tuple(containers), **more)


def held(node: str = "node-a", family: str = "GPU", **shares: tuple[int, int]) -> Placement:
    """A placement of one container: uuid (underscores for dashes) to memory MiB and core units."""
    given = tuple(
        DeviceShare(uuid=uuid.replace("_", "-"), memory_mib=memory, core_units=cores)
        for uuid, (memory, cores) in shares.items()
    )
    return Placement(node=node, containers=(ContainerShares(name="main", shares={family: given}),))


def uuids(placement: Placement, family: str = "GPU") -> list[list[str]]:
    return [[share.uuid for share in shares] for shares in placement.shares_of(family)]
