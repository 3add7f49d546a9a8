"""Messages become values, or are refused with their place; values become messages and come back unchanged."""

from __future__ import annotations

import contextlib
import json

import pytest
from google.protobuf.message import DecodeError, Message
from hypothesis import given
from hypothesis import strategies as st
from tests.rpc.world import acme_registry

from hami_core.errors import BadQuantity, BadWire, HamiError
from hami_core.model import (
    ContainerKind,
    ContainerShares,
    Device,
    DeviceShare,
    Partition,
    PartitionPlacement,
    PartitionProfile,
    Placement,
    PodRequest,
    ScoringWeights,
    Selector,
)
from hami_core.rpc import decode, encode
from hami_core.rpc.fit.v1 import fit_pb2
from hami_core.verdict import Broken, DeviceReason, Fits, Reason, Rejected

REGISTRY = acme_registry()

names = st.text(min_size=1, max_size=253).filter(lambda text: not any(0xD800 <= ord(mark) < 0xE000 for mark in text))
amounts = st.integers(0, 2**31 - 1)
places = st.builds(PartitionPlacement, start=amounts, size=st.integers(1, 2**31 - 1))
shares = st.builds(
    DeviceShare,
    uuid=names,
    memory_mib=amounts,
    core_units=amounts,
    partition=st.none() | st.builds(Partition, profile=names, placement=places),
)
containers = st.builds(
    ContainerShares,
    name=names,
    kind=st.sampled_from(ContainerKind),
    shares=st.dictionaries(names, st.lists(shares, min_size=1, max_size=3).map(tuple), max_size=2),
)
placements = st.builds(Placement, node=names, containers=st.lists(containers, max_size=3).map(tuple))


@given(placements)
def test_a_placement_comes_back_as_it_was_sent(placement: Placement) -> None:
    sent = encode.placement(placement).SerializeToString()
    assert decode.placement(fit_pb2.Placement.FromString(sent), "pod x") == placement
    back = decode.placement(fit_pb2.Placement.FromString(sent), "pod x")
    assert [c.shares for c in back.containers] == [c.shares for c in placement.containers]


def test_absent_optional_fields_take_the_values_of_the_python_api() -> None:
    request = fit_pb2.PodRequest(name="train")
    assert decode.pod_request(request) == PodRequest(name="train")
    node = fit_pb2.Node(name="n", devices=[fit_pb2.Device(uuid="G-0", family="NVIDIA", memory_mib=10)])
    (device,) = decode.explicit_node(node).devices
    assert (device.core_units, device.slots, device.numa, device.healthy, device.mode) == (100, 1, 0, True, "")


def test_every_field_of_a_card_reaches_its_value() -> None:
    profile = fit_pb2.PartitionProfile(
        name="1g.5gb",
        memory_mib=4864,
        core_units=14,
        slice_count=7,
        placements=[fit_pb2.PartitionPlacement(start=2, size=1)],
    )
    card = fit_pb2.Device(
        uuid="G-1", family="NVIDIA", model="A100", index=1, memory_mib=40_960, core_units=50, slots=7, numa=-1,
        unhealthy=True, mode="mig", profiles=[profile],
    )  # fmt: skip
    node = fit_pb2.Node(name="n", devices=[card], labels={"zone": "a"}, annotations={"x": "y"})
    found = decode.explicit_node(node)
    assert (found.node.name, found.node.labels, found.node.annotations) == ("n", {"zone": "a"}, {"x": "y"})
    assert found.devices == (
        Device(
            uuid="G-1", family="NVIDIA", model="A100", index=1, memory_mib=40_960, core_units=50, slots=7, numa=-1,
            healthy=False, mode="mig",
            profiles=(
                PartitionProfile(
                    name="1g.5gb", memory_mib=4864, core_units=14, slice_count=7,
                    placements=(PartitionPlacement(start=2, size=1),),
                ),
            ),
        ),
    )  # fmt: skip


def test_every_field_of_a_pod_reaches_its_value() -> None:
    request = fit_pb2.PodRequest(
        namespace="team-a",
        name="train",
        uid="u-1",
        node_policy="spread",
        device_policy="numa",
        weights=fit_pb2.ScoringWeights(slot=0, core=2),
        selectors={"NVIDIA": fit_pb2.Selector(allow_types=["A40"], deny_uuids=["G-1"], numa_bind=True, mode="mig")},
        annotations={"hami.io/x": "1"},
    )
    pod = decode.pod_request(request)
    assert (pod.key, pod.namespace, pod.node_policy, pod.device_policy) == ("u-1", "team-a", "spread", "numa")
    assert pod.weights == ScoringWeights(slot=0, core=2, memory=1)
    assert pod.selectors["NVIDIA"] == Selector(allow_types=("A40",), deny_uuids=("G-1",), numa_bind=True, mode="mig")
    assert pod.annotations == {"hami.io/x": "1"}


def test_vendor_facts_keep_whole_numbers_whole() -> None:
    custom = {"NetworkID": 0, "ratio": 0.5, "names": ["a", None, True], "in": {"deep": 3}}
    device = fit_pb2.Device(uuid="G-0", family="NVIDIA")
    device.custom.update(custom)
    (read,) = decode.explicit_node(fit_pb2.Node(name="n", devices=[device])).devices
    assert read.custom == custom
    assert isinstance(read.custom["NetworkID"], int)


def pod_asking(**fields: object) -> fit_pb2.PodRequest:
    asked = fit_pb2.DeviceRequest(**{"family": "NVIDIA", "count": 1, "memory_mib": 1, **fields})  # type: ignore[arg-type]
    return fit_pb2.PodRequest(name="p", containers=[fit_pb2.ContainerRequest(name="c", devices=[asked])])


def node_with(**fields: object) -> fit_pb2.Node:
    device = fit_pb2.Device(**{"uuid": "G-0", "family": "NVIDIA", **fields})  # type: ignore[arg-type]
    return fit_pb2.Node(name="n", devices=[device])


REFUSED = {
    "a pod without a name": (fit_pb2.PodRequest(), "PodRequest.name is missing"),
    "no card": (pod_asking(count=0), 'pod "p", container 0: DeviceRequest.count must be 1 or more; got 0'),
    "negative memory": (pod_asking(memory_mib=-1), "must be 0 to 2147483647 MiB; got -1"),
    "memory beyond any card": (pod_asking(memory_mib=2**62), "must be 0 to 2147483647 MiB; got 4611686018427387904"),
    "over a hundred percent": (pod_asking(memory_percent=101), "memory_percent must be 0 to 100; got 101"),
    "no family": (pod_asking(family=""), "DeviceRequest.family must be a non-empty string"),
    "negative cores": (pod_asking(core_units=-5), "DeviceRequest.core_units must be 0 or more; got -5"),
    "weights that are all 0": (
        fit_pb2.PodRequest(name="p", weights=fit_pb2.ScoringWeights(slot=0, core=0, memory=0)),
        "must not all be 0",
    ),
    "a node without a name": (fit_pb2.Node(), "Node.name is missing"),
    "a card without uuid": (node_with(uuid=""), "device 0: Device.uuid must be a non-empty string"),
    "a negative index": (node_with(index=-1), 'device 0 ("G-0"): Device.index must be 0 or more; got -1'),
    "a placement without a node": (fit_pb2.Placement(), "Placement.node is missing"),
}


@pytest.mark.parametrize(("message", "text"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_meant_is_refused_with_its_place(message: Message, text: str) -> None:
    with pytest.raises((BadWire, BadQuantity)) as caught:
        read(message)
    assert text in str(caught.value)


def test_a_request_without_memory_says_what_to_set() -> None:
    asked = fit_pb2.DeviceRequest(family="NVIDIA", count=1)
    pod = fit_pb2.PodRequest(name="p", containers=[fit_pb2.ContainerRequest(devices=[asked])])
    with pytest.raises(BadWire, match=r"DeviceRequest\.memory is missing; set memory_mib or memory_percent"):
        decode.pod_request(pod)


def test_a_container_kind_from_a_newer_client_is_refused_not_guessed() -> None:
    container = fit_pb2.ContainerRequest.FromString(b"\x10\x63")  # field 2, value 99
    with pytest.raises(BadWire, match="container kind 99 is not known here"):
        decode.pod_request(fit_pb2.PodRequest(name="p", containers=[container]))


@pytest.mark.parametrize("hold_s", [0.0, -1.0, 86_401.0, float("nan"), float("inf")])
def test_a_reservation_lasts_a_real_time(hold_s: float) -> None:
    with pytest.raises(BadQuantity, match=r"ReserveRequest\.hold_s must be more than 0 and at most 86400 seconds"):
        decode.hold_s(fit_pb2.ReserveRequest(hold_s=hold_s))


def test_an_absent_hold_is_a_minute() -> None:
    assert decode.hold_s(fit_pb2.ReserveRequest()) == 60.0


def test_no_candidates_and_an_empty_list_of_candidates_are_different() -> None:
    assert decode.candidates(fit_pb2.DecideRequest()) is None
    assert decode.candidates(fit_pb2.DecideRequest(candidates=fit_pb2.Candidates())) == ()
    twice = fit_pb2.Candidates(nodes=["b", "a", "b"])
    assert decode.candidates(fit_pb2.DecideRequest(candidates=twice)) == ("b", "a")


def test_a_kubernetes_object_needs_no_kind_but_not_a_wrong_one() -> None:
    assert decode.kubernetes_object(b'{"metadata": {"name": "n"}}', "Node") == {"metadata": {"name": "n"}}
    with pytest.raises(BadWire, match='Node object: kind must be Node; got "Pod"'):
        decode.kubernetes_object(b'{"kind": "Pod"}', "Node")


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"7", b"null", b'{"a": "\xff"}', b"[" * 100_000, b'{"a": "\\ud800"}']
)
def test_bytes_that_are_no_kubernetes_object_are_refused(raw: bytes) -> None:
    with pytest.raises(BadWire, match="Pod object"):
        decode.kubernetes_object(raw, "Pod")


@given(st.binary(max_size=300))
def test_no_bytes_get_past_the_json_reader_as_anything_but_an_object(raw: bytes) -> None:
    try:
        document = decode.kubernetes_object(raw, "Pod")
    except BadWire:
        return
    assert document == json.loads(raw)


@given(st.binary(max_size=300), st.sampled_from([fit_pb2.Node, fit_pb2.PodRequest, fit_pb2.Placement]))
def test_a_message_of_any_bytes_is_read_or_refused_by_name(raw: bytes, kind: type[Message]) -> None:
    with contextlib.suppress(DecodeError):  # protobuf's own refusal, before our code
        message = kind.FromString(raw)
        with contextlib.suppress(HamiError):
            read(message)


words = st.sampled_from(
    ["metadata", "name", "namespace", "annotations", "spec", "containers", "initContainers", "resources", "limits",
     "acme.com/npu", "acme.com/npu-memory", "hami.io/device-scoring-weights", "status", "phase", "schedulerName"]
)  # fmt: skip
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | words
documents = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=5), max_leaves=30
)


@given(st.dictionaries(words, documents, max_size=6))
def test_any_json_for_a_pod_is_read_or_refused_by_name(document: dict[str, object]) -> None:
    pod = {"metadata": {"name": "p"}, **document}
    with contextlib.suppress(HamiError):
        assert decode.kubernetes_request(json.dumps(pod).encode(), REGISTRY).key


def read(message: Message) -> object:
    match message:
        case fit_pb2.Node():
            return decode.explicit_node(message)
        case fit_pb2.PodRequest():
            return decode.pod_request(message)
        case fit_pb2.Placement():
            return decode.placement(message, "pod p")
    raise AssertionError(type(message))


def test_a_verdict_is_sent_as_one_of_three_with_its_text() -> None:
    fits = encode.verdict("n", Fits(score=1.5, placement=Placement(node="n")), cards=False)
    assert (fits.WhichOneof("verdict"), fits.fits.score, fits.text) == ("fits", 1.5, "fits, score 1.5")
    broken = encode.verdict("n", Broken(problem="register: no ':'"), cards=False)
    assert (broken.WhichOneof("verdict"), broken.text) == ("broken", "register: no ':'")
    assert not broken.broken.HasField("plugin")


def test_a_rejection_tells_of_cards_only_when_asked() -> None:
    card = DeviceReason(uuid="G-0", family="NVIDIA", reason=Reason.MEMORY, detail="3000 MiB asked, 1200 MiB free")
    verdict = Rejected(tally={Reason.MEMORY: 1, Reason.CORES: 2}, total=3, devices=(card,), container="main")
    brief, full = (encode.verdict("n", verdict, cards=cards).rejected for cards in (False, True))
    assert [(count.reason, count.cards) for count in brief.tally] == [
        ("CardInsufficientCore", 2),
        ("CardInsufficientMemory", 1),
    ]
    assert (brief.total_cards, brief.curable, brief.container, len(brief.cards)) == (3, True, "main", 0)
    assert [(c.uuid, c.reason, c.detail) for c in full.cards] == [
        ("G-0", "CardInsufficientMemory", "3000 MiB asked, 1200 MiB free")
    ]
