"""The webhook's decision, as a function."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hami_ascend
import hami_dcu
import hami_iluvatar
import hami_mlu
import hami_mthreads
import hami_nvidia
from hami_core.admission import Admission, AdmissionSettings, admit
from hami_core.behaviour import Admitter, Edits
from hami_core.family import Family, Resources, WireNames
from hami_core.hookspecs import hookimpl
from hami_core.objects import ContainerFacts, PodFacts
from hami_core.registry import Registry, load_registry
from hami_core.wire.device_config import ConfigSections

NVIDIA = load_registry(plugins=[hami_nvidia])
EVERYONE = load_registry(plugins=[hami_ascend, hami_dcu, hami_iluvatar, hami_mlu, hami_mthreads, hami_nvidia])


def container(name: str = "c", **extra: Any) -> dict[str, Any]:
    limits = extra.pop("limits", {"nvidia.com/gpu": "1", "nvidia.com/gpumem": "3000"})
    return {"name": name, "resources": {"limits": limits}, **extra}


def pod(*containers: dict[str, Any], metadata: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", **(metadata or {})},
        "spec": {"containers": list(containers or (container(),)), **spec},
    }


def test_a_pod_with_devices_is_sent_to_our_scheduler() -> None:
    assert admit(pod(), NVIDIA).patch == ({"op": "add", "path": "/spec/schedulerName", "value": "hami-scheduler"},)


def test_a_pod_without_devices_is_left_alone() -> None:
    item = pod(container(limits={"cpu": "1"}))
    assert admit(item, NVIDIA) == Admission(admitted=True, pod=item)


def test_the_object_that_came_is_not_changed() -> None:
    item = pod(container(limits={"nvidia.com/gpucores": "30"}, env=[{"name": "A", "value": "1"}]))
    before = copy.deepcopy(item)
    assert admit(item, NVIDIA).patch
    assert item == before


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("other", AdmissionSettings(), "pod default/p already has another scheduler assigned: other"),
        ("default-scheduler", AdmissionSettings(overwrite_default_scheduler=False), "default-scheduler"),
        ("other", AdmissionSettings(scheduler_name=""), "already has another scheduler"),
    ],
)
def test_a_pod_of_another_scheduler_is_left_alone(name: str, settings: AdmissionSettings, message: str) -> None:
    admission = admit(pod(schedulerName=name), NVIDIA, settings)
    assert (admission.admitted, admission.patch) == (True, ())
    assert message in (admission.message or "")


@pytest.mark.parametrize("name", ["", "default-scheduler", "hami-scheduler"])
def test_a_pod_of_no_scheduler_the_default_one_or_ours_is_ours(name: str) -> None:
    assert admit(pod(schedulerName=name), NVIDIA).pod["spec"]["schedulerName"] == "hami-scheduler"


def test_a_pod_labelled_to_be_ignored_is_left_alone() -> None:
    item = pod(container(securityContext={"privileged": True}), metadata={"labels": {"hami.io/webhook": "ignore"}})
    assert (admit(item, NVIDIA).admitted, admit(item, NVIDIA).patch) == (True, ())


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({**pod(), "spec": {"containers": []}}, "pod default/p has no containers"),
        (pod(container(securityContext={"privileged": True})), "container c is privileged.*drop securityContext"),
        (
            pod(initContainers=[container("i", limits={}, securityContext={"privileged": True})]),
            "container i is privileged",
        ),
        (pod(nodeName="n1"), r"has a node assigned \(n1\).*write nodeSelector"),
        (pod(container(limits={"nvidia.com/gpu": "1", "nvidia.com/gpumem": "16Gi"})), r"container c.*\(write 16384\)"),
        (
            pod(container(limits={"nvidia.com/gpu": 1, "nvidia.com/gpumem": 9, "nvidia.com/gpumem-percentage": 5})),
            "drop nvidia.com/gpumem-percentage",
        ),
        (pod(metadata={"annotations": {"hami.io/device-scoring-weights": "x"}}), "must be slot=N"),
    ],
)
def test_a_pod_that_cannot_be_held_to_a_share_is_refused_saying_what_to_do(item: dict[str, Any], message: str) -> None:
    admission = admit(item, NVIDIA)
    assert (admission.admitted, admission.patch) == (False, ())
    assert re.search(message, admission.message or "")


def test_privileged_and_bound_pods_without_devices_are_not_our_business() -> None:
    item = pod(container(limits={}, securityContext={"privileged": True}), nodeName="n1")
    assert admit(item, NVIDIA) == Admission(admitted=True, pod=item)


def test_a_pod_over_its_quota_is_refused_with_the_numbers() -> None:
    admission = admit(pod(metadata={"namespace": "team"}), NVIDIA, over_quota=lambda _pod: ["gpumem: 3000 asked of 1"])
    assert admission.message == "pod team/p goes over the quota of namespace team: gpumem: 3000 asked of 1"


def test_a_variable_that_is_there_is_set_not_doubled() -> None:
    env = [{"name": "CUDA_TASK_PRIORITY", "valueFrom": {"fieldRef": {}}}, {"name": "A", "value": "1"}]
    limits = {"nvidia.com/gpu": "1", "nvidia.com/gpumem": "1", "nvidia.com/priority": "0"}
    admitted = admit(pod(container(limits=limits, env=env)), NVIDIA).pod
    assert admitted["spec"]["containers"][0]["env"] == [
        {"name": "CUDA_TASK_PRIORITY", "value": "0"},
        {"name": "A", "value": "1"},
    ]


def test_a_runtime_class_is_set_where_the_pod_has_none() -> None:
    registry = load_registry(ConfigSections.parse("nvidia: {runtimeClassName: nvidia}"), [hami_nvidia])
    assert admit(pod(), registry).pod["spec"]["runtimeClassName"] == "nvidia"
    assert admit(pod(runtimeClassName="mine"), registry).pod["spec"]["runtimeClassName"] == "mine"


def test_without_a_scheduler_name_a_pods_scheduler_stays_what_it_is() -> None:
    admission = admit(pod(nodeName="n1"), NVIDIA, AdmissionSettings(scheduler_name=""))
    assert (admission.admitted, admission.patch) == (True, ())


class Thorough:
    """A vendor whose admission uses everything that `Edits` can say."""

    @hookimpl
    def hami_families(self, config: ConfigSections) -> list[Family]:
        wire = WireNames(allocated="x.com/allocated")
        return [Family(name="X", vendor="x", resources=Resources(count="x.com/card", memory="x.com/mem"), wire=wire)]

    @hookimpl
    def hami_admit(self, family: Family) -> Admitter:
        def edits(pod: PodFacts, container: ContainerFacts) -> Edits:
            return Edits(
                found=True,
                limits={"x.com/mem": "1"},
                requests={"x.com/mem": "1"},
                env={"NAME": container.name},
                env_all_containers={"ALL": "yes"},
                pod_annotations={"x.com/seen": "true"},
            )

        return edits


def test_every_kind_of_edit_is_applied_where_it_belongs() -> None:
    item = {"metadata": {"name": "p"}, "spec": {"initContainers": [{"name": "i"}], "containers": [{"name": "c"}]}}
    admitted = admit(item, load_registry(plugins=[Thorough()])).pod
    assert admitted["metadata"]["annotations"] == {"x.com/seen": "true"}
    for part, name in (("initContainers", "i"), ("containers", "c")):
        (entry,) = admitted["spec"][part]
        assert entry["resources"] == {"limits": {"x.com/mem": "1"}, "requests": {"x.com/mem": "1"}}
        assert sorted(each["name"] for each in entry["env"]) == ["ALL", "NAME"]
        assert {"name": "NAME", "value": name} in entry["env"]


quantities = st.sampled_from(["0", "1", "2", "3", "10", "30", "50", "100", "3000", "16Gi", "1.5", 1, 4])
resources = sorted(name for loaded in EVERYONE.families.values() for name in loaded.family.resources.names)
limits = st.dictionaries(st.sampled_from(resources), quantities, max_size=4)
pods = st.builds(
    lambda own, init, runtime: pod(*own, initContainers=init, **({"runtimeClassName": "x"} if runtime else {})),
    st.lists(st.builds(lambda values: container(limits=values), limits), min_size=1, max_size=2),
    st.lists(st.builds(lambda values: container("i", limits=values), limits), max_size=1),
    st.booleans(),
)


@given(pods)
def test_admitting_an_admitted_pod_changes_nothing(item: dict[str, Any]) -> None:
    first = admit(item, EVERYONE)
    if first.admitted:
        second = admit(first.pod, EVERYONE)
        assert (second.admitted, second.patch) == (True, ())


@given(pods, st.permutations([hami_ascend, hami_dcu, hami_mlu, hami_mthreads, hami_nvidia]))
def test_the_order_of_the_plugins_does_not_matter(item: dict[str, Any], order: list[object]) -> None:
    shuffled: Registry = load_registry(plugins=order)
    straight = load_registry(plugins=sorted(order, key=lambda plugin: plugin.__name__))  # type: ignore[attr-defined]
    assert admit(item, shuffled) == admit(item, straight)


json_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["name", "resources", "limits", "nvidia.com/gpu", "env"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["containers", "initContainers", "nodeName", "schedulerName"]), json_data))
def test_a_malformed_pod_is_admitted_or_refused(spec: dict[str, Any]) -> None:
    admission = admit({"metadata": {"name": "p"}, "spec": spec}, NVIDIA)
    assert admission.admitted or admission.message
