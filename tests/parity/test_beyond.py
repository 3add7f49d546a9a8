"""Deliberate differences that the recording does not contain: a test for each row of docs/parity.md, by its name."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.parity.replay import PLUGINS

from hami_core import decide
from hami_core.errors import BadConfig
from hami_core.registry import load_registry
from hami_core.verdict import Broken, Fits
from hami_core.whatif import Decision
from hami_core.wire.device_config import ConfigSections

MEMORY_910C = "huawei.com/Ascend910C-memory"
DOCUMENT = Path(__file__).parents[2] / "docs" / "parity.md"
GPU, GPU_MEMORY, GPU_PERCENT, GPU_CORES = (
    "nvidia.com/gpu",
    "nvidia.com/gpumem",
    "nvidia.com/gpumem-percentage",
    "nvidia.com/gpucores",
)


def node(name: str = "n1", *, capacity: Mapping[str, str] = {}, labels: Mapping[str, str] = {}, **annotations: str):
    """A node; annotations by their name after ``hami.io/``, with ``_`` for ``-``."""
    return {
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": dict(labels),
            "annotations": {f"hami.io/{key.replace('_', '-')}": text for key, text in annotations.items()},
        },
        "status": {"capacity": dict(capacity)},
    }


def register(*uuids: str, memory_mib: int = 16_000, model: str = "NVIDIA-T4", cores: int = 100) -> str:
    return json.dumps(
        [
            {
                "id": uuid,
                "index": index,
                "count": 10,
                "devmem": memory_mib,
                "devcore": cores,
                "type": model,
                "health": True,
            }
            for index, uuid in enumerate(uuids)
        ]
    )


def pod(
    *containers: Mapping[str, str],
    inits: Sequence[Mapping[str, Any]] = (),
    annotations: Mapping[str, str] = {},
) -> dict[str, Any]:
    """A pod with a container for each mapping of limits; `inits` are whole init containers."""
    return {
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "team-a", "annotations": dict(annotations)},
        "spec": {
            "initContainers": list(inits),
            "containers": [
                {"name": f"c{index}", "resources": {"limits": dict(limits)}} for index, limits in enumerate(containers)
            ],
        },
    }


def decided(objects: Sequence[Mapping[str, Any]], item: Mapping[str, Any], config: str = "") -> Decision:
    sections = ConfigSections.parse(config) if config else ConfigSections.empty()
    return decide(objects, item, registry=load_registry(sections, PLUGINS))


def cards(decision: Decision, family: str) -> list[list[str]]:
    verdict = decision.verdicts["n1"]
    assert isinstance(verdict, Fits), str(verdict)
    return [[share.uuid for share in shares] for shares in verdict.placement.shares_of(family)]


def test_bad_quantity() -> None:
    decision = decided([node(node_nvidia_register=register("a"))], pod({GPU: "1", GPU_MEMORY: "16Gi"}))
    assert not decision.admitted
    assert "write 16384" in (decision.admission.message or "")


def test_memory_twice() -> None:
    decision = decided([], pod({GPU: "1", GPU_MEMORY: "1000", GPU_PERCENT: "50"}))
    assert not decision.admitted
    assert GPU_MEMORY in (decision.admission.message or "")
    assert GPU_PERCENT in (decision.admission.message or "")


def test_more_cores_than_a_card() -> None:
    decision = decided([], pod({GPU: "1", GPU_CORES: "120"}))
    assert not decision.admitted
    assert "0 to 100" in (decision.admission.message or "")


def test_zero_template() -> None:
    decision = decided([], pod({"huawei.com/Ascend910A": "1", "huawei.com/Ascend910A-memory": "0"}))
    assert decision.admission.pod["spec"]["containers"][0]["resources"]["limits"] == {
        "huawei.com/Ascend910A": "1",
        "huawei.com/Ascend910A-memory": "32768",
    }


def test_template_factor() -> None:
    config = """
    vnpus:
      configs:
      - {chipName: "9", commonWord: Ascend9, resourceName: huawei.com/Ascend9, memoryFactor: 1000,
         resourceMemoryName: huawei.com/Ascend9-memory, memoryAllocatable: 32000,
         templates: [{name: small, memory: 4000}, {name: large, memory: 8000}]}
    """
    objects = [node(node_register_Ascend9=register("a", memory_mib=32_000, model="Ascend9"))]
    decision = decided(objects, pod({"huawei.com/Ascend9": "1", "huawei.com/Ascend9-memory": "5"}), config)
    assert json.loads(decision.annotations["huawei.com/Ascend9"]) == [{"UUID": "a", "temp": "large", "memory": 8000}]


def test_sidecar() -> None:
    limits = {"resources": {"limits": {GPU: "1", GPU_MEMORY: "9000"}}}
    objects = [node(node_nvidia_register=register("a"))]
    ordinary = decided(objects, pod({GPU: "1", GPU_MEMORY: "9000"}, inits=[{"name": "i", **limits}]))
    sidecar = {"name": "i", "restartPolicy": "Always", **limits}
    staying = decided(objects, pod({GPU: "1", GPU_MEMORY: "9000"}, inits=[sidecar]))
    assert cards(ordinary, "NVIDIA") == [["a"], ["a"]]
    assert str(staying.verdicts["n1"]) == "1/1 CardInsufficientMemory"


def test_cordon_any_vendor() -> None:
    text = "a,4,32768,100,DCU-Z100,0,true,0,hami-core:"
    decision = decided([node(node_dcu_register=text, device_cordon=" a ")], pod({"hygon.com/dcunum": "1"}))
    assert str(decision.verdicts["n1"]) == "1/1 CardCordoned"


@pytest.mark.parametrize(
    ("labels", "annotation", "verdict"),
    [
        ({"Model": "MLU370-X8"}, "use", "fits, score 0"),
        ({"Model": "MLU590"}, "use", "1/1 CardTypeMismatch"),
        ({}, "use", "1/1 CardTypeMismatch"),
        ({"Model": "MLU370-X8"}, "nouse", "1/1 CardTypeMismatch"),
        ({}, "nouse", "fits, score 0"),
    ],
)
def test_mlu_types(labels: dict[str, str], annotation: str, verdict: str) -> None:
    capacity = {"cambricon.com/mlu.smlu.vcore": "100", "cambricon.com/mlu.smlu.vmemory": "96"}
    item = pod({"cambricon.com/vmlu": "1"}, annotations={f"cambricon.com/{annotation}-mlutype": "mlu370"})
    decision = decided([node(capacity=capacity, labels=labels)], item)
    assert str(decision.verdicts["n1"]) == verdict


def test_own_register() -> None:
    objects = [
        node(
            node_register_Ascend910B4=register("a", memory_mib=32_768, model="Ascend910B4", cores=20),
            **{"node_register_Ascend910B4-1": register("b", memory_mib=65_536, model="Ascend910B4-1", cores=20)},
        )
    ]
    decision = decided(objects, pod({"huawei.com/Ascend910B4": "2"}))
    assert str(decision.verdicts["n1"]) == "NodeInsufficientDevice"


def test_ai_cpus() -> None:
    smallest = {"huawei.com/Ascend910B2": "1", "huawei.com/Ascend910B2-memory": "8192"}
    text = register("a", memory_mib=65_536, model="Ascend910B2", cores=24)
    objects = [node(node_register_Ascend910B2=text)]
    assert isinstance(decided(objects, pod(*[smallest] * 6)).verdicts["n1"], Fits)
    assert "CardInsufficientCore" in str(decided(objects, pod(*[smallest] * 7)).verdicts["n1"])


@pytest.mark.parametrize(("cordon", "chosen"), [("", ["d5", "d4"]), ("d4", ["d3", "d2"]), ("d2,d4", ["d1", "d0"])])
def test_whole_modules(cordon: str, chosen: list[str]) -> None:
    text = register(*(f"d{index}" for index in range(6)), memory_mib=65_536, model="Ascend910C", cores=20)
    objects = [node(node_register_Ascend910C=text, device_cordon=cordon)]
    assert cards(decided(objects, pod({"huawei.com/Ascend910C": "2"})), "Ascend910C") == [chosen]


def test_admitted_again() -> None:
    text = register("d0", "d1", memory_mib=65_536, model="Ascend910C", cores=20)
    once = decided([node(node_register_Ascend910C=text)], pod({"huawei.com/Ascend910C": "1", MEMORY_910C: "9000"}))
    again = decided([node(node_register_Ascend910C=text)], once.admission.pod)
    limits = again.admission.pod["spec"]["containers"][0]["resources"]["limits"]
    assert (again.admitted, again.admission.patch) == (True, ())
    assert limits == {"huawei.com/Ascend910C": "2", MEMORY_910C: "16384"}
    assert cards(again, "Ascend910C") == cards(once, "Ascend910C") == [["d1", "d0"]]


def test_broken_register() -> None:
    objects = [node(node_nvidia_register=register("a"), node_dcu_register="b,4,lots,100,DCU-Z100,0,true,0,hami-core:")]
    assert cards(decided(objects, pod({GPU: "1"})), "NVIDIA") == [["a"]]
    verdict = decided(objects, pod({"hygon.com/dcunum": "1"})).verdicts["n1"]
    assert isinstance(verdict, Broken)
    assert "hami.io/node-dcu-register, device 1, field devmem" in str(verdict)


def test_double_card() -> None:
    verdict = decided([node(node_nvidia_register=register("a", "a"))], pod({GPU: "2"})).verdicts["n1"]
    assert isinstance(verdict, Broken)
    assert 'id "a" is registered twice' in str(verdict)


@pytest.mark.parametrize("share", ["a,NVIDIA,-9000,0:;", ",NVIDIA,0,0:;"])
def test_odd_share(share: str) -> None:
    odd = pod({GPU: "1"}, annotations={"hami.io/vgpu-node": "n1", "hami.io/vgpu-devices-allocated": share})
    odd["metadata"]["name"] = "odd"
    objects = [node(node_nvidia_register=register("a")), odd]
    decision = decided(objects, pod({GPU: "1", GPU_MEMORY: "17000"}))
    assert str(decision.verdicts["n1"]) == "1/1 CardInsufficientMemory"
    assert decision.problems[0].startswith("pod team-a/odd: annotation hami.io/vgpu-devices-allocated, container 0")


def test_several_quotas() -> None:
    quotas = [
        {
            "kind": "ResourceQuota",
            "metadata": {"name": name, "namespace": "team-a"},
            "spec": {"hard": {f"limits.{GPU_MEMORY}": limit}},
        }
        for name, limit in (("narrow", "1000"), ("wide", "9000"))
    ]
    objects = [node(node_nvidia_register=register("a"))]
    for order in (quotas, quotas[::-1]):
        assert not decided([*objects, *order], pod({GPU: "1", GPU_MEMORY: "2000"})).admitted
        assert decided([*objects, *order], pod({GPU: "1", GPU_MEMORY: "1000"})).admitted


def test_quota_on_the_card() -> None:
    quota = {
        "kind": "ResourceQuota",
        "metadata": {"name": "q", "namespace": "team-a"},
        "spec": {"hard": {"limits.hygon.com/dcumem": "1000"}},
    }
    objects = [node(node_dcu_register="DCU-1,10,16000,100,DCU-Z100,0,true,0,hami-core:"), quota]
    whole, part = pod({"hygon.com/dcunum": "1"}), pod({"hygon.com/dcunum": "1", "hygon.com/dcumem": "1000"})
    assert str(decided(objects, whole).verdicts["n1"]) == "1/1 ResourceQuotaNotFit"
    assert decided(objects, part).node == "n1"


def test_other_containers() -> None:
    config = "nvidia: {gpuCorePolicy: force}"
    assert decided([], pod({"cpu": "1"}), config).admission.patch == ()
    both = decided([], pod({"cpu": "1"}, {GPU: "1"}), config).admission.pod["spec"]["containers"]
    assert [entry["env"][0]["value"] for entry in both] == ["force", "force"]


def test_env_twice() -> None:
    item = pod({GPU: "1", "nvidia.com/priority": "1"})
    item["spec"]["containers"][0]["env"] = [
        {"name": "CUDA_TASK_PRIORITY", "value": "0"},
        {"name": "MINE", "value": "1"},
    ]
    env = decided([], item).admission.pod["spec"]["containers"][0]["env"]
    assert [entry for entry in env if entry["name"] in ("CUDA_TASK_PRIORITY", "MINE")] == [
        {"name": "CUDA_TASK_PRIORITY", "value": "1"},
        {"name": "MINE", "value": "1"},
    ]


def test_ignored_pod() -> None:
    item = pod({GPU: "1"})
    item["metadata"]["labels"] = {"hami.io/webhook": "ignore"}
    admission = decided([], item).admission
    assert (admission.admitted, admission.patch) == (True, ())
    assert admission.message == "pod team-a/p is labelled hami.io/webhook: ignore"


def test_equal_nodes() -> None:
    nodes = [node(name, node_nvidia_register=register(f"gpu-{name}")) for name in ("n3", "n1", "n2")]
    for policy in ("binpack", "spread"):
        item = pod({GPU: "1"}, annotations={"hami.io/node-scheduler-policy": policy})
        assert [decided(order, item).node for order in (nodes, nodes[::-1])] == ["n1", "n1"]


@pytest.mark.parametrize(
    ("kind", "named", "problem"),
    [
        ("node", "bin-pack", 'no node policy is called "bin-pack", binpack is taken; did you mean binpack?'),
        ("gpu", "tightest", 'no device policy is called "tightest", spread is taken; there are binpack, mutex, numa, '),
        (
            "gpu",
            "numa,spraed",
            'is called "spraed", only the others of the chain order its cards; did you mean spread?',
        ),
    ],
)
def test_unknown_policy(kind: str, named: str, problem: str) -> None:
    objects = [node(node_nvidia_register=register("a"))]
    decision = decided(objects, pod({GPU: "1"}, annotations={f"hami.io/{kind}-scheduler-policy": named}))
    assert decision.node == "n1"
    (found,) = decision.problems
    assert found.startswith("pod team-a/p: ")
    assert problem in found


def test_beyond_counting() -> None:
    verdict = decided([node(node_nvidia_register=register("a", memory_mib=2**41))], pod({GPU: "1"})).verdicts["n1"]
    assert isinstance(verdict, Broken)
    assert "device 1, field devmem" in str(verdict)


def test_many_sets() -> None:
    uuids = [f"gpu-{index}" for index in range(20)]
    scores = [
        {"uuid": mine, "score": {peer: 100 for n, peer in enumerate(uuids) if n % 2 == index % 2 and peer != mine}}
        for index, mine in enumerate(uuids)
    ]
    objects = [node(node_nvidia_register=register(*uuids), node_nvidia_score=json.dumps(scores))]
    item = pod({GPU: "10"}, annotations={"hami.io/gpu-scheduler-policy": "topology-aware"})
    (chosen,) = cards(decided(objects, item), "NVIDIA")
    assert sorted(chosen) in (sorted(uuids[0::2]), sorted(uuids[1::2]))


def test_misspelt_setting() -> None:
    with pytest.raises(BadConfig, match=r"line 1, hygon\.memoryFaktor: is not a setting; did you mean memoryFactor\?"):
        load_registry(ConfigSections.parse("hygon: {memoryFaktor: 2}"), PLUGINS)


def test_every_row_beyond_the_recording_has_a_test_of_its_name() -> None:
    section = DOCUMENT.read_text(encoding="utf-8").split("\n## ")
    (table,) = [part for part in section if part.startswith("Beyond the recorded set\n")]
    rows = re.findall(r"^\| `([a-z0-9-]+)` \|", table, flags=re.MULTILINE)
    tests = {name for name in globals() if name.startswith("test_")} - {
        "test_every_row_beyond_the_recording_has_a_test_of_its_name"
    }
    assert sorted(f"test_{row.replace('-', '_')}" for row in rows) == sorted(tests)
