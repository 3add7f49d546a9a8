"""From a pod to what it asks for."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hami_dcu
import hami_nvidia
from hami_core.errors import AdmissionRefused, BadQuantity, BadWire
from hami_core.family import Family, Resources, Units, WireNames
from hami_core.model import ContainerKind, DeviceRequest, ScoringWeights, Selector
from hami_core.objects import ContainerFacts, PodFacts, read_pod
from hami_core.registry import load_registry
from hami_core.requests import TableRequest, pod_request, scoring_weights, table_request

FAMILY = Family(
    name="X",
    vendor="x",
    resources=Resources(count="x.com/card", memory="x.com/mem", memory_percent="x.com/mem-percent", cores="x.com/core"),
    wire=WireNames(allocated="hami.io/x-allocated"),
)


def asked(family: Family = FAMILY, **limits: object) -> DeviceRequest | None:
    container = ContainerFacts(name="c", limits={f"x.com/{name.replace('_', '-')}": v for name, v in limits.items()})
    return table_request(family)(PodFacts(namespace="team", name="p", containers=(container,)), container)


def with_units(**units: object) -> Family:
    return attrs.evolve(FAMILY, units=Units(**units))  # type: ignore[arg-type]


def test_a_container_that_names_no_count_asks_for_nothing() -> None:
    assert asked(mem="3000") is None
    assert asked(card="0", mem="3000") is None


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"card": 2}, {"count": 2, "memory_percent": 100}),
        ({"card": "1", "mem": "3000", "core": "30"}, {"count": 1, "memory_mib": 3000, "core_units": 30}),
        ({"card": "1", "mem": "2k"}, {"count": 1, "memory_mib": 2000}),
        ({"card": "1", "mem_percent": "50"}, {"count": 1, "memory_percent": 50}),
        ({"card": "1", "mem": "0"}, {"count": 1, "memory_percent": 100}),
        ({"card": "1", "mem": "0", "mem_percent": "20"}, {"count": 1, "memory_percent": 20}),
        ({"card": "1", "mem_percent": "0"}, {"count": 1, "memory_percent": 100}),
    ],
)
def test_memory_left_out_or_0_is_the_whole_card(limits: dict[str, object], expected: dict[str, int]) -> None:
    assert asked(**limits) == DeviceRequest(family="X", **expected)


def test_units_and_factors_multiply_memory() -> None:
    assert asked(with_units(memory_unit_mib=256), card="1", mem="4") == DeviceRequest(
        family="X", count=1, memory_mib=1024
    )
    assert asked(with_units(memory_factor=2), card="1", mem="4") == DeviceRequest(family="X", count=1, memory_mib=8)


def test_defaults_stand_for_what_is_left_out() -> None:
    family = with_units(default_memory_mib=512, default_cores=7)
    assert asked(family, card="1") == DeviceRequest(family="X", count=1, memory_mib=512, core_units=7)


def test_totals_are_split_over_the_cards_asked_for() -> None:
    family = with_units(totals_are_split=True, memory_unit_mib=512, cores_per_card=16)
    assert asked(family, card="2", mem="96", core="32") == DeviceRequest(
        family="X", count=2, memory_mib=24576, core_units=16
    )


def test_cores_that_admission_wrote_for_all_cards_give_each_one_card_at_most() -> None:
    container = ContainerFacts(name="c", limits={"x.com/card": "2", "x.com/core": "200"})
    request = TableRequest(FAMILY, cores_scale=True)(PodFacts(name="p"), container)
    assert request == DeviceRequest(family="X", count=2, memory_percent=100, core_units=100)


def test_requests_count_where_limits_are_silent() -> None:
    container = ContainerFacts(name="c", limits={"x.com/card": "1"}, requests={"x.com/card": "9", "x.com/mem": "5"})
    assert table_request(FAMILY)(PodFacts(name="p"), container) == DeviceRequest(family="X", count=1, memory_mib=5)


PLACE = "^pod team/p, container c: x.com/"


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"mem": "16Gi"}, r'mem must be a whole number of MiB, 0 or more; got "16Gi" \(write 16384\)'),
        ({"mem": "1Gi"}, r'got "1Gi" \(write 1024\)'),
        ({"mem": "1.5"}, r'got "1.5" \(write 2\)'),
        ({"mem": "-1"}, 'mem must be .*; got "-1"'),
        ({"mem": "2147483648"}, "mem must be"),
        ({"mem": "lots"}, "mem must be a Kubernetes quantity"),
        ({"mem": float("nan")}, "mem must be a Kubernetes quantity"),
        ({"core": "101"}, 'core must be a whole number, 0 to 100; got "101"'),
        ({"core": "-1"}, "core must be a whole number, 0 to 100"),
        ({"core": "0.5"}, "core must be a whole number, 0 to 100"),
        ({"mem_percent": "101"}, "mem-percent must be a whole number of percent, 0 to 100"),
        ({"card": "-1"}, "card must be a whole number, 0 or more"),
        ({"card": "2147483648"}, "card must be a whole number"),
        ({"card": True}, "card must be a Kubernetes quantity"),
    ],
)
def test_a_bad_quantity_is_refused_with_its_container_and_the_cure(limits: dict[str, object], message: str) -> None:
    with pytest.raises(BadQuantity, match=PLACE if message.startswith(("mem", "core", "card")) else "team/p") as caught:
        asked(**{"card": "1", **limits})
    assert caught.match(message)


def test_memory_as_size_and_as_percentage_is_refused_saying_what_to_drop() -> None:
    with pytest.raises(AdmissionRefused, match=r"drop x\.com/mem-percent to get .* or x.com/mem to get 50 percent"):
        asked(card="1", mem="3000", mem_percent="50")


@given(st.one_of(st.text(max_size=12), st.integers(), st.floats(), st.none(), st.lists(st.integers(), max_size=1)))
def test_any_quantity_is_read_or_refused_as_one(value: object) -> None:
    try:
        request = asked(card="1", mem=value, core=value)
    except (BadQuantity, AdmissionRefused):
        return
    assert request is not None
    assert request.core_units <= 100


POD = {
    "metadata": {
        "name": "p",
        "namespace": "team",
        "uid": "u1",
        "annotations": {
            "hami.io/node-scheduler-policy": "spread",
            "hami.io/gpu-scheduler-policy": "binpack,numa",
            "hami.io/device-scoring-weights": " memory = 3, slot = 1, core = 0 ",
            "nvidia.com/use-gputype": "A100, ,H100",
            "nvidia.com/nouse-gpuuuid": "GPU-1",
            "nvidia.com/numa-bind": "true",
            "nvidia.com/vgpu-mode": "mig",
        },
    },
    "spec": {
        "initContainers": [
            {"name": "i", "resources": {"limits": {"nvidia.com/gpu": "1"}}},
            {"name": "s", "restartPolicy": "Always"},
        ],
        "containers": [{"name": "a", "resources": {"limits": {"nvidia.com/gpu": "1", "hygon.com/dcunum": "2"}}}],
    },
}


def test_a_pod_asks_over_all_families_init_containers_first() -> None:
    request = pod_request(read_pod(POD), load_registry(plugins=[hami_nvidia, hami_dcu]))
    assert [(c.name, c.kind, [(d.family, d.count) for d in c.devices]) for c in request.containers] == [
        ("i", ContainerKind.INIT, [("NVIDIA", 1)]),
        ("s", ContainerKind.SIDECAR, []),
        ("a", ContainerKind.APP, [("DCU", 2), ("NVIDIA", 1)]),
    ]
    assert (request.node_policy, request.device_policy) == ("spread", "binpack,numa")
    assert request.weights == ScoringWeights(slot=1, core=0, memory=3)
    assert request.selectors["NVIDIA"] == Selector(
        allow_types=("A100", "H100"), deny_uuids=("GPU-1",), numa_bind=True, mode="mig"
    )
    assert request.selectors["DCU"] == Selector()


def test_a_pod_that_names_no_policy_gets_the_clusters() -> None:
    pod = PodFacts(name="p", annotations={"hami.io/node-scheduler-policy": " "})
    request = pod_request(pod, load_registry(plugins=[]), node_policy="spread", device_policy="mutex")
    assert (request.node_policy, request.device_policy) == ("spread", "mutex")


@pytest.mark.parametrize(
    "text",
    ["", "slot=1,memory=3", "slot=1,core=-1,memory=3", "slot=1,core=x,memory=3", "slot=1,slot=2,memory=3",
     "slot=1,bandwidth=2,memory=3", "slot=0,core=0,memory=0", "slot=1,core=1,memory=1,", "slot=1,core=\u0661,memory=1"],
)  # fmt: skip
def test_weights_are_three_whole_numbers_or_refused(text: str) -> None:
    with pytest.raises(BadWire, match=r"pod a/p: annotation hami\.io/device-scoring-weights.*must be slot=N,core=N"):
        scoring_weights({"hami.io/device-scoring-weights": text}, where="pod a/p")
