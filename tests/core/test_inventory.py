"""From Kubernetes objects to devices and holdings."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hami_dcu
import hami_nvidia
from hami_core.behaviour import NodeCodec
from hami_core.family import Family, Resources, WireNames
from hami_core.fit import Fleet
from hami_core.hookspecs import hookimpl
from hami_core.inventory import Cluster, feed, read_cluster, read_holding, read_inventory
from hami_core.model import ContainerKind, Device, DeviceShare, Partition, PartitionPlacement
from hami_core.objects import NodeFacts, read_pod
from hami_core.registry import load_registry
from hami_core.wire.device_config import ConfigSections

REGISTRY = load_registry(plugins=[hami_nvidia, hami_dcu])
CARD = {"id": "GPU-a", "count": 10, "devmem": 8192, "devcore": 100, "type": "NVIDIA-Tesla P4", "health": True}


def node(name: str = "n1", **annotations: str) -> dict[str, Any]:
    register = annotations or {"hami.io/node-nvidia-register": json.dumps([CARD])}
    return {"kind": "Node", "metadata": {"name": name, "annotations": register}, "status": {"capacity": {"cpu": "1"}}}


def pod(allocated: str = "GPU-a,NVIDIA,3000,30:;", *, name: str = "p", **parts: Any) -> dict[str, Any]:
    annotations = {"hami.io/vgpu-node": "n1", "hami.io/vgpu-devices-allocated": allocated, **parts.pop("more", {})}
    metadata = {"name": name, "uid": f"uid-{name}", "annotations": annotations, **parts.pop("metadata", {})}
    return {"kind": "Pod", "metadata": metadata, "spec": {"containers": [{"name": "c"}]}, **parts}


def used_mib(cluster: Cluster) -> int:
    fleet = Fleet(REGISTRY)
    feed(fleet, cluster)
    return sum(use.memory_used_mib for use in fleet.uses("n1"))


def test_a_family_that_is_malformed_on_a_node_is_broken_there_and_the_others_are_read() -> None:
    facts = NodeFacts(
        name="n1",
        annotations={"hami.io/node-nvidia-register": json.dumps([CARD]), "hami.io/node-dcu-register": "nonsense"},
    )
    inventory = read_inventory(facts, REGISTRY)
    assert [device.uuid for device in inventory.devices] == ["GPU-a"]
    assert list(inventory.broken) == ["DCU"]
    assert inventory.broken["DCU"].startswith("node n1: annotation hami.io/node-dcu-register: has no ':'")


class Clumsy:
    """A vendor whose codec fails in a way that no specification foresees."""

    @hookimpl
    def hami_families(self, config: ConfigSections) -> list[Family]:
        return [Family(name="X", vendor="x", resources=Resources(count="x/c"), wire=WireNames(allocated="x/a"))]

    @hookimpl
    def hami_node_codec(self, family: Family) -> NodeCodec:
        class Codec:
            def decode(self, node: NodeFacts) -> tuple[Device, ...]:
                raise ZeroDivisionError("0 cards")

        return Codec()


def test_a_plugin_that_fails_on_a_node_hides_no_other_vendors_cards() -> None:
    registry = load_registry(plugins=[Clumsy(), hami_nvidia])
    facts = NodeFacts(name="n1", annotations={"hami.io/node-nvidia-register": json.dumps([CARD])})
    inventory = read_inventory(facts, registry)
    assert [device.uuid for device in inventory.devices] == ["GPU-a"]
    assert inventory.broken == {"X": "node n1: plugin Clumsy failed: ZeroDivisionError: 0 cards"}


def test_a_placed_pod_holds_what_its_annotations_say() -> None:
    holding = read_holding(read_pod(pod()), REGISTRY)
    assert holding is not None
    assert (holding.key, holding.label, holding.namespace, holding.placement.node) == (
        "uid-p", "default/p", "default", "n1",
    )  # fmt: skip
    assert holding.placement.shares_of("NVIDIA") == ((DeviceShare(uuid="GPU-a", memory_mib=3000, core_units=30),),)


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_finished_pod_holds_nothing(phase: str) -> None:
    assert read_holding(read_pod(pod(status={"phase": phase})), REGISTRY) is None


def test_a_pod_without_a_node_holds_nothing() -> None:
    assert read_holding(read_pod(pod(more={"hami.io/vgpu-node": ""})), REGISTRY) is None


def test_a_pod_that_is_being_deleted_still_holds_its_share() -> None:
    cluster = read_cluster([node(), pod(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})], REGISTRY)
    assert used_mib(cluster) == 3000


INIT_AND_APP = {
    "initContainers": [{"name": "i"}, {"name": "s", "restartPolicy": "Always"}],
    "containers": [{"name": "a"}],
}
THREE = "GPU-a,NVIDIA,5000,0:;GPU-a,NVIDIA,100,0:;GPU-a,NVIDIA,3000,0:;"


def test_init_containers_count_their_peak_and_sidecars_beside_the_app_containers() -> None:
    assert used_mib(read_cluster([node(), pod(THREE, spec=INIT_AND_APP)], REGISTRY)) == 5000


def test_init_containers_that_have_ended_hold_nothing() -> None:
    ended = [{"state": {"terminated": {"exitCode": 0}}}] * 2
    cluster = read_cluster([node(), pod(THREE, spec=INIT_AND_APP, status={"initContainerStatuses": ended})], REGISTRY)
    assert used_mib(cluster) == 3100


def test_shares_keep_the_kind_of_their_container() -> None:
    holding = read_holding(read_pod(pod(THREE, spec=INIT_AND_APP)), REGISTRY)
    assert holding is not None
    assert [(c.name, c.kind) for c in holding.placement.containers] == [
        ("i", ContainerKind.INIT),
        ("s", ContainerKind.SIDECAR),
        ("a", ContainerKind.APP),
    ]


def test_shares_of_containers_that_the_pod_does_not_list_count_all_the_same() -> None:
    assert used_mib(read_cluster([node(), pod("GPU-a,NVIDIA,1,0:;GPU-a,NVIDIA,2,0:;")], REGISTRY)) == 3


def test_a_malformed_family_of_a_pod_is_reported_and_its_other_families_count() -> None:
    holding = read_holding(
        read_pod(pod("GPU-a,NVIDIA,x,0:;", more={"hami.io/dcu-devices-allocated": "DCU-1,DCU,5,6:;"})), REGISTRY
    )
    assert holding is not None
    assert holding.placement.families == ("DCU",)
    (problem,) = holding.problems
    assert problem.startswith("pod default/p: annotation hami.io/vgpu-devices-allocated, container 0, card 0")


def test_a_share_knows_its_reserved_partition() -> None:
    place = {"containerIndex": 0, "deviceIndex": 0, "gpuUUID": "GPU-a", "profile": "1g", "placement": {"size": 1}}
    strange = {**place, "deviceIndex": 1, "gpuUUID": "GPU-other"}
    two = pod(
        "GPU-a,NVIDIA,5,6:GPU-a,NVIDIA,5,6:;", more={"hami.io/vgpu-mig-allocations": json.dumps([place, strange])}
    )
    holding = read_holding(read_pod(two), REGISTRY)
    assert holding is not None
    first, second = holding.placement.shares_of("NVIDIA")[0]
    assert first.partition == Partition(profile="1g", placement=PartitionPlacement(start=0, size=1))
    assert second.partition is None


def test_partitions_that_cannot_be_read_are_reported() -> None:
    holding = read_holding(read_pod(pod(more={"hami.io/vgpu-mig-allocations": "?"})), REGISTRY)
    assert holding is not None
    assert holding.problems[0].startswith("pod default/p: annotation hami.io/vgpu-mig-allocations: is not JSON")


def test_lists_within_lists_and_raw_lists_without_kinds_are_read() -> None:
    bare = [{key: value for key, value in item.items() if key != "kind"} for item in (node(), pod())]
    cluster = read_cluster([{"kind": "List", "items": [{"items": bare}]}, {"kind": "Service"}, None, 3], REGISTRY)
    assert [inventory.node.name for inventory in cluster.nodes] == ["n1"]
    assert [holding.key for holding in cluster.holdings] == ["uid-p"]


def test_the_later_of_two_objects_of_one_name_counts() -> None:
    cluster = read_cluster([node(), pod(), pod(status={"phase": "Failed"})], REGISTRY)
    assert cluster.holdings == ()


def test_an_object_without_a_name_is_reported_and_the_others_are_read() -> None:
    cluster = read_cluster([{"kind": "Node", "metadata": {}}, node()], REGISTRY)
    assert cluster.problems == ('"Node": metadata.name is missing',)
    assert len(cluster.nodes) == 1


def test_several_quotas_of_a_namespace_are_combined_by_the_smallest() -> None:
    quotas = [
        {"kind": "ResourceQuota", "metadata": {"name": name, "namespace": "team"}, "spec": {"hard": hard}}
        for name, hard in [
            ("a", {"limits.nvidia.com/gpumem": "9k", "cpu": "3"}),
            ("b", {"limits.nvidia.com/gpumem": "5000", "limits.nvidia.com/gpucores": "x"}),
        ]
    ]
    cluster = read_cluster(quotas, REGISTRY)
    assert [(quota.name, dict(quota.limits)) for quota in cluster.quotas] == [
        ("a", {"nvidia.com/gpumem": 9000}),
        ("b", {"nvidia.com/gpumem": 5000}),
    ]
    (problem,) = cluster.problems
    assert problem.startswith("quota team/b: limits.nvidia.com/gpucores must be")


@given(st.permutations([node(), node("n2"), pod(), pod(name="q"), pod("?", name="r")]))
def test_the_order_of_the_objects_does_not_matter(objects: list[dict[str, Any]]) -> None:
    assert read_cluster(objects, REGISTRY) == read_cluster(sorted(objects, key=str), REGISTRY)


json_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["kind", "metadata", "name", "annotations", "spec", "containers", "status", "hard", "items"]
            ),
            inner | st.sampled_from(["Node", "Pod", "ResourceQuota"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(json_data)
def test_any_json_is_read_or_reported(objects: Any) -> None:
    feed(Fleet(REGISTRY), read_cluster(objects, REGISTRY))
