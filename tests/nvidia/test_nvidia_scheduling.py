"""NVIDIA's scheduling side: names, admission, MIG, topology, allocation."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.vendors import admit, devices, loaded, request

import hami_nvidia
from hami_core.behaviour import AllocationContext, Candidate, FitContext, Mount
from hami_core.errors import BadConfig, BadQuantity, BadWire
from hami_core.model import (
    ContainerShares,
    Device,
    DeviceRequest,
    DeviceShare,
    DeviceUse,
    Partition,
    PartitionPlacement,
    PartitionProfile,
    Placement,
    PodRequest,
)
from hami_core.objects import NodeFacts
from hami_core.registry import LoadedFamily
from hami_nvidia.config import MigAllowance
from hami_nvidia.mig import MigPartitioner, free_placement, write_partitions
from hami_nvidia.topology import MOST_SETS, PEERS, choose_connected, wants_topology

GPU, MEM, PERCENT, CORES, PRIORITY = (
    f"nvidia.com/{name}" for name in ("gpu", "gpumem", "gpumem-percentage", "gpucores", "priority")
)


def nvidia(config: str = "") -> LoadedFamily:
    return loaded(hami_nvidia, "NVIDIA", config)


def test_every_resource_name_can_be_chosen() -> None:
    family = nvidia(
        """
        nvidia:
          resourceCountName: a.io/gpu
          resourceMemoryName: a.io/mem
          resourceMemoryPercentageName: a.io/percent
          resourceCoreName: a.io/cores
          resourcePriorityName: a.io/priority
        """
    )
    assert family.family.resources.names == ("a.io/gpu", "a.io/mem", "a.io/percent", "a.io/cores", "a.io/priority")
    asked = request(family, {"a.io/gpu": "1", "a.io/mem": "5", "a.io/cores": "7"})
    assert asked == DeviceRequest(family="NVIDIA", count=1, memory_mib=5, core_units=7)


def test_defaults_of_the_section_stand_for_what_a_container_leaves_out() -> None:
    family = nvidia("nvidia: {defaultMemory: 512, defaultCores: 10, memoryFactor: 2}")
    assert request(family, {GPU: "1"}) == DeviceRequest(family="NVIDIA", count=1, memory_mib=512, core_units=10)
    assert request(family, {GPU: "1", MEM: "3"}) == DeviceRequest(family="NVIDIA", count=1, memory_mib=6, core_units=10)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("{overwritEnv: true}", "nvidia.overwritEnv: is not a setting; did you mean overwriteEnv"),
        ("{defaultCores: 101}", "nvidia.defaultCores: must be int <= 100"),
        ("{gpuCorePolicy: sometimes}", "nvidia.gpuCorePolicy"),
        ("{migProfileAllowlist: [{models: [A100], profiles: []}]}", r"migProfileAllowlist\[0\]: needs at least one of"),
        ("{migProfileAllowlist: [{models: [A100], profiles: [big]}]}", 'profile names such as 1g.10gb; got "big"'),
    ],
)
def test_a_wrong_section_stops_the_load_with_its_line(section: str, message: str) -> None:
    with pytest.raises(BadConfig, match=rf"line 1, .*{message}"):
        nvidia(f"nvidia: {section}")


@pytest.mark.parametrize(
    ("limits", "added"),
    [
        ({GPU: "1"}, {CORES: "100"}),
        ({GPU: "1", PERCENT: "100"}, {CORES: "100"}),
        ({GPU: "1", PERCENT: "50"}, {}),
        ({GPU: "1", PERCENT: "0"}, {}),
        ({GPU: "1", MEM: "3000"}, {}),
        ({GPU: "1", CORES: "70"}, {}),
        ({CORES: "30"}, {GPU: "1"}),
        ({MEM: "1"}, {GPU: "1"}),
        ({PERCENT: "100"}, {GPU: "1", CORES: "100"}),
    ],
)
def test_a_missing_count_is_filled_in_and_whole_cards_take_all_cores(
    limits: dict[str, str], added: dict[str, str]
) -> None:
    edits = admit(nvidia(), limits)
    assert (edits.found, edits.limits) == (True, added)


def test_a_percentage_that_is_none_is_left_to_the_request_to_refuse() -> None:
    edits = admit(nvidia(), {GPU: "1", PERCENT: "all"})
    assert (edits.found, edits.limits) == (True, {})
    with pytest.raises(BadQuantity, match=r'gpumem-percentage must be .*; got "all"'):
        request(nvidia(), {GPU: "1", PERCENT: "all"})


def test_without_a_default_count_memory_alone_asks_for_nothing() -> None:
    assert not admit(nvidia("nvidia: {defaultGPUNum: 0}"), {MEM: "3000"}).found


def test_a_container_without_gpus_is_left_alone() -> None:
    edits = admit(nvidia(), {})
    assert (edits.found, edits.limits, edits.env, edits.env_all_containers) == (False, {}, {}, {})


def test_overwrite_env_hides_the_cards_from_containers_that_ask_for_none() -> None:
    family = nvidia("nvidia: {overwriteEnv: true}")
    assert admit(family, {}).env == {"NVIDIA_VISIBLE_DEVICES": "none"}
    assert admit(family, {GPU: "1"}).env == {}


def test_priority_becomes_the_variable_of_hamis_library() -> None:
    assert admit(nvidia(), {GPU: "1", PRIORITY: "1"}).env == {"CUDA_TASK_PRIORITY": "1"}
    with pytest.raises(BadQuantity, match=r"container c: nvidia\.com/priority must be"):
        admit(nvidia(), {GPU: "1", PRIORITY: "high"})


@pytest.mark.parametrize(("policy", "env"), [("force", {"GPU_CORE_UTILIZATION_POLICY": "force"}), ("default", {})])
def test_a_core_policy_is_told_to_every_container_of_a_pod_with_gpus(policy: str, env: dict[str, str]) -> None:
    family = nvidia(f"nvidia: {{gpuCorePolicy: {policy}}}")
    assert admit(family, {GPU: "1"}).env_all_containers == env
    assert admit(family, {}).env_all_containers == {}


# A100 with 40 GB: sizes and places from NVIDIA's MIG user guide, "supported profiles".
PROFILES = tuple(
    PartitionProfile(
        name=name,
        memory_mib=memory_mib,
        core_units=cores,
        slice_count=slices,
        placements=tuple(PartitionPlacement(start=start, size=size) for start in starts),
    )
    for name, memory_mib, cores, slices, size, starts in [
        ("3g.20gb", 20480, 42, 3, 4, (0, 4)),
        ("1g.5gb", 5120, 14, 1, 1, range(7)),
        ("2g.10gb", 10240, 28, 2, 2, (0, 2, 4)),
    ]
)
A100 = Device(
    uuid="GPU-m", family="NVIDIA", model="NVIDIA-NVIDIA A100", memory_mib=40960, mode="mig", profiles=PROFILES
)
ONE = DeviceRequest(family="NVIDIA", count=1, memory_mib=1)


def cut(memory_mib: int, *taken: tuple[int, int], allowlist: tuple[MigAllowance, ...] | None = None) -> Any:
    """Profile and start that a request gets, with places (start, size) taken."""
    partitions = tuple(
        Partition(profile="x", placement=PartitionPlacement(start=start, size=size)) for start, size in taken
    )
    found = MigPartitioner(allowlist)(DeviceUse(device=A100, partitions=partitions), memory_mib, ONE)
    return None if found is None else (found[0].profile, found[0].placement.start, found[1], found[2])


def test_the_smallest_profile_that_holds_the_request_is_taken() -> None:
    assert cut(5120) == ("1g.5gb", 6, 5120, 14)
    assert cut(5121) == ("2g.10gb", 0, 10240, 28)
    assert cut(20480) == ("3g.20gb", 4, 20480, 42)
    assert cut(20481) is None


def test_a_larger_profile_serves_where_the_smaller_has_no_place() -> None:
    assert cut(9000, (0, 2), (2, 1), (5, 1)) is None
    assert cut(9000, (0, 2), (2, 1)) == ("2g.10gb", 4, 10240, 28)
    small = attrs.evolve(PROFILES[1], placements=(PartitionPlacement(start=0, size=1),))
    card = attrs.evolve(A100, profiles=(small, PROFILES[2]))
    taken = Partition(profile="1g.5gb", placement=PartitionPlacement(start=0, size=1))
    found = MigPartitioner()(DeviceUse(device=card, partitions=(taken,)), 5000, ONE)
    assert found is not None
    assert found[0] == Partition(profile="2g.10gb", placement=PartitionPlacement(start=2, size=2))


def test_the_operators_allowlist_is_obeyed() -> None:
    allowance = MigAllowance(models=("A100",), profiles=("2g.10gb",))
    assert cut(100, allowlist=(allowance,)) == ("2g.10gb", 0, 10240, 28)
    assert cut(100, allowlist=(MigAllowance(models=("H100",), profiles=("1g.5gb",)),)) is None


@given(st.lists(st.integers(1, 20480), max_size=8))
def test_partitions_of_one_card_never_overlap(requests: list[int]) -> None:
    use = DeviceUse(device=A100)
    for memory_mib in requests:
        found = MigPartitioner()(use, memory_mib, ONE)
        if found is not None:
            assert found[1] >= memory_mib
            use = attrs.evolve(use, partitions=(*use.partitions, found[0]))
    places = [partition.placement for partition in use.partitions]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(places, 2))


def test_a_profile_without_places_is_never_free() -> None:
    assert free_placement(attrs.evolve(PROFILES[0], placements=()), []) is None


def test_reservations_are_written_by_container_and_card() -> None:
    share = DeviceShare(
        uuid="GPU-m", partition=Partition(profile="1g.5gb", placement=PartitionPlacement(start=6, size=1))
    )
    shares = ContainerShares(shares={"NVIDIA": (DeviceShare(uuid="GPU-x"), share)})
    placement = Placement(node="n", containers=(ContainerShares(), shares))
    written = write_partitions(placement, {}, PodRequest(name="p"), 0)
    assert json.loads(written["hami.io/vgpu-mig-allocations"]) == [
        {"containerIndex": 1, "deviceIndex": 1, "gpuUUID": "GPU-m", "profile": "1g.5gb",
         "placement": {"start": 6, "size": 1}},
    ]  # fmt: skip
    assert write_partitions(Placement(node="n"), {}, PodRequest(name="p"), 0) == {}


REGISTER = '[{"id":"GPU-0","count":1,"devmem":1,"type":"V100","health":true},{"id":"GPU-1","count":1,"health":true}]'


def test_cards_carry_their_scores_towards_each_other() -> None:
    node = NodeFacts(
        name="n",
        annotations={
            "hami.io/node-nvidia-register": REGISTER,
            "hami.io/node-nvidia-score": '[{"uuid":"GPU-0","score":{"GPU-1":100}}]',
        },
    )
    first, second = devices(nvidia(), node)
    assert first.custom == {PEERS: {"GPU-1": 100}}
    assert second.custom == {}


def test_malformed_scores_break_the_family_on_that_node() -> None:
    annotations = {"hami.io/node-nvidia-register": REGISTER, "hami.io/node-nvidia-score": "?"}
    with pytest.raises(BadWire, match=r"node n: annotation hami\.io/node-nvidia-score: is not JSON"):
        devices(nvidia(), NodeFacts(name="n", annotations=annotations))


def candidates(scores: dict[str, dict[str, int]]) -> list[Candidate]:
    """One candidate a uuid, most preferred first, with its scores."""
    return [
        Candidate(
            use=DeviceUse(
                device=Device(uuid=uuid, family="NVIDIA", model="V100", memory_mib=1, custom={PEERS: scores[uuid]})
            ),
            share=DeviceShare(uuid=uuid),
        )
        for uuid in scores
    ]


def chosen(scores: dict[str, dict[str, int]], count: int) -> list[str] | None:
    request = DeviceRequest(family="NVIDIA", count=count, memory_mib=1)
    context = FitContext(pod=PodRequest(name="p"), container_index=0, node=NodeFacts(name="n"))
    picked = choose_connected(candidates(scores), request, context)
    return None if picked is None else [candidate.share.uuid for candidate in picked]


TRIANGLE = {"a": {"b": 100, "c": 200}, "b": {"a": 100, "c": 150}, "c": {"a": 200, "b": 150}}


def test_several_cards_are_the_best_connected_set() -> None:
    assert chosen(TRIANGLE, 2) == ["a", "c"]


def test_one_card_is_the_least_connected() -> None:
    assert chosen(TRIANGLE, 1) == ["b"]


def test_as_many_cards_as_asked_are_all_taken_and_fewer_are_refused() -> None:
    assert chosen(TRIANGLE, 3) == ["a", "b", "c"]
    assert chosen(TRIANGLE, 4) is None


def test_equals_go_to_the_cards_that_are_preferred() -> None:
    assert chosen({"a": {}, "b": {}, "c": {}}, 2) == ["a", "b"]
    assert chosen({"a": {}, "b": {}, "c": {}}, 1) == ["a"]


def test_beyond_the_bound_a_set_is_grown_from_the_best_pair() -> None:
    names = [f"g{i:02d}" for i in range(40)]
    island = names[30:]
    scores = {a: {b: 100 if a in island and b in island else 1 for b in names if b != a} for a in names}
    assert chosen(scores, 10) == island


@given(
    st.integers(2, 7).flatmap(
        lambda n: st.tuples(
            st.lists(st.lists(st.integers(0, 5), min_size=n, max_size=n), min_size=n, max_size=n), st.integers(2, n)
        )
    )
)
def test_no_other_set_is_better_connected(case: tuple[list[list[int]], int]) -> None:
    matrix, count = case
    names = [f"g{i}" for i in range(len(matrix))]
    scores = {a: {b: matrix[i][j] for j, b in enumerate(names) if i != j} for i, a in enumerate(names)}

    def together(uuids: Any) -> int:
        return sum(scores[a][b] for a, b in itertools.combinations(uuids, 2))

    picked = chosen(scores, count)
    assert picked is not None
    assert len(set(picked)) == count
    assert together(picked) == max(together(some) for some in itertools.combinations(names, count))


def test_sixteen_cards_are_looked_at_in_full() -> None:
    assert len(list(itertools.combinations(range(16), 8))) < MOST_SETS


def test_connected_cards_are_chosen_where_the_pod_asks_for_them() -> None:
    assert wants_topology(PodRequest(name="p", device_policy="topology-aware"), ONE)
    assert not wants_topology(PodRequest(name="p", device_policy="binpack"), ONE)


def allocation(*shares: DeviceShare, config: str = "", **context: Any) -> Any:
    allocate = nvidia(config).allocate
    assert allocate is not None
    return allocate(
        AllocationContext(
            shares=shares, devices={}, limits_file=Path("/s/limits"), region_file=Path("/s/region"), **context
        )
    )


TWO = (DeviceShare(uuid="GPU-b", memory_mib=3000, core_units=30), DeviceShare(uuid="GPU-a", memory_mib=100))


def test_a_container_gets_hamis_variables_and_the_limits_file() -> None:
    assert allocation(*TWO).env == {
        "CUDA_VISIBLE_DEVICES": "GPU-b,GPU-a",
        "NVIDIA_VISIBLE_DEVICES": "GPU-b,GPU-a",
        "HAMI_LIMITS_FILE": "/s/limits",
        "CUDA_DEVICE_MEMORY_SHARED_CACHE": "/s/region",
        "CUDA_DEVICE_MEMORY_LIMIT_0": "3000m",
        "CUDA_DEVICE_MEMORY_LIMIT_1": "100m",
        "CUDA_DEVICE_SM_LIMIT": "30",
    }


@pytest.mark.parametrize(
    ("context", "config", "env"),
    [
        ({"priority": 0}, "", {"CUDA_TASK_PRIORITY": "0"}),
        ({"oversubscribe": True}, "", {"CUDA_OVERSUBSCRIBE": "true"}),
        ({"core_policy": "force"}, "", {"GPU_CORE_UTILIZATION_POLICY": "force"}),
        ({}, "nvidia: {disableCoreLimit: true}", {"GPU_CORE_UTILIZATION_POLICY": "disable"}),
        ({}, "nvidia: {libCudaLogLevel: 3}", {"LIBCUDA_LOG_LEVEL": "3"}),
    ],
)
def test_what_is_set_is_told_to_the_library(context: dict[str, Any], config: str, env: dict[str, str]) -> None:
    assert env.items() <= allocation(*TWO, config=config, **context).env.items()


def test_an_empty_share_is_not_an_unlimited_one() -> None:
    assert allocation(DeviceShare(uuid="GPU-a", memory_mib=0)).env["CUDA_DEVICE_MEMORY_LIMIT_0"] == "1m"


def test_the_limits_are_read_only_to_the_container_and_the_region_is_not() -> None:
    assert allocation(*TWO, settings={"library": "/s/lib.so"}).mounts == (
        Mount(host_path="/s/limits", container_path="/s/limits"),
        Mount(host_path="/s/limits", container_path="/run/hami/limits"),
        Mount(host_path="/s/region", container_path="/s/region", read_only=False),
        Mount(host_path="/s/lib.so", container_path="/s/lib.so"),
    )


def test_the_shipped_machines_are_listed() -> None:
    assert {"a40x2", "h100x8", "t4", "a100-mig"} <= {path.stem for path in hami_nvidia.hami_machines()}


def test_other_vendors_are_not_probed() -> None:
    assert hami_nvidia.hami_probe("ascend") is None
    assert hami_nvidia.hami_probe("nvidia") is not None
