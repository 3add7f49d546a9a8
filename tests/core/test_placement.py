"""What a bind writes."""

from __future__ import annotations

import pytest

import hami_dcu
import hami_mthreads
import hami_nvidia
from hami_core.errors import UnknownName
from hami_core.inventory import read_holding
from hami_core.model import ContainerShares, Device, DeviceShare, Placement, PodRequest
from hami_core.objects import PodFacts
from hami_core.placement import bind_annotations, placement_annotations
from hami_core.registry import load_registry

REGISTRY = load_registry(plugins=[hami_nvidia, hami_dcu, hami_mthreads])
POD = PodRequest(name="p")
NOW_NS = 1_795_480_329_999_999_999
PLACEMENT = Placement(
    node="n1",
    containers=(
        ContainerShares(),
        ContainerShares(
            shares={
                "NVIDIA": (DeviceShare(uuid="GPU-a", memory_mib=3000, core_units=30),),
                "DCU": (DeviceShare(uuid="DCU-1", memory_mib=5),),
            }
        ),
    ),
)


def test_every_family_of_the_placement_is_written_container_by_container() -> None:
    assert placement_annotations(PLACEMENT, POD, REGISTRY, {}, now_ns=NOW_NS) == {
        "hami.io/dcu-devices-allocated": ";DCU-1,DCU,5,0:;",
        "hami.io/dcu-devices-to-allocate": ";DCU-1,DCU,5,0:;",
        "hami.io/vgpu-devices-allocated": ";GPU-a,NVIDIA,3000,30:;",
        "hami.io/vgpu-devices-to-allocate": ";GPU-a,NVIDIA,3000,30:;",
        "hami.io/vgpu-node": "n1",
        "hami.io/vgpu-time": "1795480329",
    }


def test_a_family_whose_node_side_takes_nothing_gets_no_list_to_take_from() -> None:
    shares = {"Mthreads": (DeviceShare(uuid="n1-mthreads-0"),)}
    placement = Placement(node="n1", containers=(ContainerShares(shares=shares),))
    cards = {"n1-mthreads-0": Device(uuid="n1-mthreads-0", family="Mthreads", model="Mthreads", memory_mib=8192)}
    written = placement_annotations(placement, POD, REGISTRY, cards, now_ns=NOW_NS)
    assert "hami.io/mthreads-vgpu-devices-allocated" in written
    assert not [key for key in written if "to-allocate" in key]


def test_what_is_written_is_what_the_inventory_reads() -> None:
    written = placement_annotations(PLACEMENT, POD, REGISTRY, {}, now_ns=NOW_NS)
    holding = read_holding(PodFacts(name="p", annotations=written), REGISTRY)
    assert holding is not None
    assert holding.placement == PLACEMENT


def test_a_family_that_nobody_serves_is_an_error() -> None:
    placement = Placement(node="n", containers=(ContainerShares(shares={"Z": (DeviceShare(uuid="z"),)}),))
    with pytest.raises(UnknownName, match='no device family named "Z"'):
        placement_annotations(placement, POD, REGISTRY, {}, now_ns=0)


def test_a_bind_hands_the_pod_to_the_node() -> None:
    assert bind_annotations(NOW_NS) == {"hami.io/bind-phase": "allocating", "hami.io/bind-time": "1795480329"}
