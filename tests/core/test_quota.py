"""Namespace quotas at admission."""

from __future__ import annotations

import pytest

import hami_mlu
import hami_nvidia
from hami_core.model import ContainerKind, ContainerRequest, DeviceRequest, PodRequest
from hami_core.quota import NamespaceQuota, combine, exceeded
from hami_core.registry import load_registry

REGISTRY = load_registry(plugins=[hami_nvidia, hami_mlu])
MEMORY, CORES = "nvidia.com/gpumem", "nvidia.com/gpucores"


def pod(*containers: tuple[ContainerKind, int, int | None, int], family: str = "NVIDIA") -> PodRequest:
    """Containers of (kind, cards, MiB or None for the whole card, cores)."""
    return PodRequest(
        name="p",
        containers=tuple(
            ContainerRequest(
                name="c",
                kind=kind,
                devices=(
                    DeviceRequest(
                        family=family,
                        count=count,
                        memory_mib=mib,
                        memory_percent=100 if mib is None else None,
                        core_units=cores,
                    ),
                ),
            )
            for kind, count, mib, cores in containers
        ),
    )


APP, INIT, SIDECAR = ContainerKind.APP, ContainerKind.INIT, ContainerKind.SIDECAR


@pytest.mark.parametrize(
    ("asked", "limits", "fits"),
    [
        (pod((APP, 1, 1000, 0)), {MEMORY: 2000}, True),
        (pod((APP, 1, 1001, 0)), {MEMORY: 2000}, False),
        (pod((APP, 2, 501, 0)), {MEMORY: 2000}, False),
        (pod((APP, 1, 1, 0)), {MEMORY: 0}, False),
        (pod((APP, 1, 5000, 0)), {}, True),
        (pod((APP, 1, 5000, 10)), {CORES: 60}, True),
        (pod((APP, 1, 5000, 11)), {CORES: 60}, False),
        (pod((INIT, 1, 900, 0), (INIT, 1, 900, 0), (APP, 1, 500, 0)), {MEMORY: 2000}, True),
        (pod((INIT, 1, 1001, 0), (APP, 1, 500, 0)), {MEMORY: 2000}, False),
        (pod((SIDECAR, 1, 600, 0), (APP, 1, 500, 0)), {MEMORY: 2000}, False),
        (pod((APP, 8, None, 0)), {MEMORY: 2000}, True),
    ],
)
def test_what_is_used_and_asked_must_stay_within_the_limit(
    asked: PodRequest, limits: dict[str, int], fits: bool
) -> None:
    used = {MEMORY: 1000, CORES: 50}
    assert fits == (not exceeded(asked, REGISTRY, limits=limits, used=used))


def test_a_limit_is_in_the_resources_own_unit() -> None:
    resource = "cambricon.com/mlu.smlu.vmemory"
    asked = pod((APP, 1, 25_600, 0), family="MLU")
    assert not exceeded(asked, REGISTRY, limits={resource: 100}, used={})
    assert exceeded(asked, REGISTRY, limits={resource: 99}, used={}) == (
        f"{resource}: 25600 asked and 0 used of 25344 MiB",
    )


def test_families_are_counted_each_by_itself() -> None:
    both = PodRequest(
        name="p",
        containers=(
            ContainerRequest(
                name="c",
                devices=(
                    DeviceRequest(family="MLU", count=1, memory_mib=512),
                    DeviceRequest(family="NVIDIA", count=1, memory_mib=700),
                ),
            ),
        ),
    )
    assert not exceeded(both, REGISTRY, limits={MEMORY: 700}, used={})
    assert exceeded(both, REGISTRY, limits={MEMORY: 699}, used={})


def test_the_smallest_limit_of_several_quotas_counts() -> None:
    quotas = [
        NamespaceQuota(namespace="team", name="a", limits={MEMORY: 5, CORES: 1}),
        NamespaceQuota(namespace="team", name="b", limits={MEMORY: 3}),
        NamespaceQuota(namespace="other", name="a", limits={MEMORY: 1}),
    ]
    assert combine(quotas) == {"team": {MEMORY: 3, CORES: 1}, "other": {MEMORY: 1}}
    assert combine(reversed(quotas)) == combine(quotas)
