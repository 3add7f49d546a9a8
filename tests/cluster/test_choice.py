"""`nodeChoice: scheduler`: our extender says which nodes fit and how well, kube-scheduler's plugins have their say."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.cluster.install import Installation
from tests.cluster.world import World, gpu_node

SHARE = {"nvidia.com/gpu": 1, "nvidia.com/gpumem": 4096}
FULL, EMPTY = "choice-full", "choice-empty"


@pytest.fixture(scope="module", autouse=True)
def scheduler_chooses(installation: Installation) -> Iterator[None]:
    with installation.changed(nodeChoice="scheduler"):
        yield


@pytest.fixture
def two_nodes(world: World) -> World:
    """Two equal nodes, one of which serves a pod already."""
    for name in (FULL, EMPTY):
        node = gpu_node(name, memory_mib=4 * 4096)
        node["metadata"]["labels"] = {"kubernetes.io/hostname": name}
        world.add_node(node)
    first = world.pod("first", SHARE, nodeSelector={"kubernetes.io/hostname": FULL})
    world.bound(world.api.create(first))
    return world


@pytest.mark.parametrize(("policy", "node"), [("binpack", FULL), ("spread", EMPTY)])
def test_kube_scheduler_takes_the_node_that_the_pod_s_policy_scores_highest(
    two_nodes: World, policy: str, node: str
) -> None:
    pods = [two_nodes.pod(f"next-{index}", SHARE) for index in range(2 if policy == "binpack" else 1)]
    for pod in pods:
        pod["metadata"]["annotations"] = {"hami.io/node-scheduler-policy": policy}
        assert two_nodes.bound(two_nodes.api.create(pod))["spec"]["nodeName"] == node


def test_a_preference_of_the_pod_s_own_outweighs_our_score(two_nodes: World) -> None:
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [EMPTY]}
    preferred = {"weight": 100, "preference": {"matchExpressions": [expression]}}
    pod = two_nodes.pod(
        "drawn", SHARE, affinity={"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [preferred]}}
    )
    pod["metadata"]["annotations"] = {"hami.io/node-scheduler-policy": "binpack"}

    assert two_nodes.bound(two_nodes.api.create(pod))["spec"]["nodeName"] == EMPTY


def test_the_last_share_is_given_once_though_nothing_is_reserved_before_bind(two_nodes: World) -> None:
    room = 7
    pods = [two_nodes.api.create(two_nodes.pod(f"pod-{index}", SHARE)) for index in range(room + 1)]

    (left,) = two_nodes.settled(pods, room)

    two_nodes.unschedulable(left, "CardInsufficientMemory", timeout_s=60)
    assert {node: len(shares) for node, shares in two_nodes.holdings().items()} == {EMPTY: 4, FULL: 4}
