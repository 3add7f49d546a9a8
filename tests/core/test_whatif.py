"""What if: objects in, the object of `hami schedule -o json` out.

`tests/golden/decide` holds a question and its whole answer a case; HAMI_GOLDEN=write rewrites the answers, for review.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hami_core
import hami_core.score.builtin
import hami_dcu
import hami_nvidia
from hami_core.errors import BadWire
from hami_core.registry import load_registry
from hami_core.whatif import Decision

REGISTRY = load_registry(plugins=[hami_core.score.builtin, hami_nvidia, hami_dcu])
GOLDEN = Path(__file__).parents[1] / "golden" / "decide"
CASES = sorted(path.name.removesuffix(".in.json") for path in GOLDEN.glob("*.in.json"))


def decide(objects: object, pod: dict[str, Any], **more: Any) -> Decision:
    return hami_core.decide(objects, pod, registry=REGISTRY, **more)


def node(name: str, *cards: str, annotations: dict[str, str] | None = None) -> dict[str, Any]:
    register = [
        {"id": card, "index": i, "count": 10, "devmem": 8192, "devcore": 100, "type": "NVIDIA-Tesla P4", "health": True}
        for i, card in enumerate(cards)
    ]
    own = {"hami.io/node-nvidia-register": json.dumps(register)} if cards else {}
    return {"kind": "Node", "metadata": {"name": name, "annotations": {**own, **(annotations or {})}}}


def pod(name: str = "p", *, metadata: dict[str, Any] | None = None, **limits: str) -> dict[str, Any]:
    asked = {f"nvidia.com/{resource.replace('_', '-')}": value for resource, value in limits.items()}
    container = {"name": "c", "resources": {"limits": asked}}
    return {"kind": "Pod", "metadata": {"name": name, **(metadata or {})}, "spec": {"containers": [container]}}


def placed(asked: dict[str, Any], decision: Decision) -> dict[str, Any]:
    return {**asked, "metadata": {**asked["metadata"], "annotations": dict(decision.annotations)}}


@pytest.mark.parametrize("case", CASES)
def test_a_recorded_question_has_its_recorded_answer(case: str) -> None:
    question = json.loads((GOLDEN / f"{case}.in.json").read_text(encoding="utf-8"))
    answer = decide(question["objects"], question["pod"], now_s=1_795_480_329).to_dict()
    recorded = GOLDEN / f"{case}.out.json"
    if os.environ.get("HAMI_GOLDEN") == "write":
        recorded.write_text(json.dumps(answer, indent=1) + "\n", encoding="utf-8")
    assert json.loads(recorded.read_text(encoding="utf-8")) == answer


def test_there_are_recorded_questions() -> None:
    assert len(CASES) >= 4


def test_a_malformed_node_is_reported_broken_and_the_others_are_decided() -> None:
    decision = decide(
        [node("good", "GPU-a"), node("bad", annotations={"hami.io/node-nvidia-register": "?"})], pod(gpu="1")
    )
    assert decision.node == "good"
    answer = decision.to_dict()["nodes"]["bad"]
    assert answer["fits"] is False
    assert answer["reason"].startswith("node bad: annotation hami.io/node-nvidia-register: is not JSON")
    assert decision.problems == (answer["reason"],)


def test_a_node_without_devices_is_unregistered() -> None:
    decision = decide([node("cpu")], pod(gpu="1"))
    assert (decision.node, decision.annotations) == (None, {})
    assert decision.to_dict()["nodes"] == {"cpu": {"fits": False, "reason": "node unregistered"}}


def test_a_refused_pod_is_not_placed() -> None:
    answer = decide([node("n", "GPU-a")], pod(gpu="1", gpumem="16Gi")).to_dict()
    assert "write 16384" in answer.pop("message")
    assert answer == {
        "pod": "default/p", "admitted": False, "patch": [], "node": None, "nodes": {}, "annotations": {},
    }  # fmt: skip


def test_a_pod_that_asks_for_no_device_fits_everywhere_and_is_given_no_node() -> None:
    decision = decide([node("a", "GPU-a"), node("b")], pod())
    assert (decision.node, decision.annotations) == (None, {})
    assert decision.message == "pod default/p asks for no device that an installed plugin serves"
    assert decision.to_dict()["nodes"] == {name: {"fits": True, "score": 0.0, "devices": {}} for name in ("a", "b")}


def test_the_defaults_of_admission_are_decided_upon() -> None:
    decision = decide([node("n", "GPU-a")], pod(gpu="1"))
    assert decision.to_dict()["nodes"]["n"]["devices"] == {
        "NVIDIA": [[{"uuid": "GPU-a", "memory_mib": 8192, "core_percent": 100}]]
    }


def test_what_the_pod_itself_holds_does_not_count() -> None:
    asked = pod(gpu="1", gpumem="8000")
    objects = [node("n", "GPU-a")]
    assert decide([*objects, placed(asked, decide(objects, asked))], asked).node == "n"
    assert decide([*objects, placed(asked, decide(objects, asked))], pod("q", gpu="1", gpumem="8000")).node is None


QUOTA = {
    "kind": "ResourceQuota",
    "metadata": {"name": "q", "namespace": "default"},
    "spec": {"hard": {"limits.nvidia.com/gpumem": "5000"}},
}


def test_the_namespaces_quota_counts_what_its_pods_hold() -> None:
    objects = [node("n", "GPU-a"), QUOTA]
    first = pod(gpu="1", gpumem="3000")
    objects.append(placed(first, decide(objects, first)))
    decision = decide(objects, pod("q", gpu="1", gpumem="3000"))
    assert not decision.admitted
    assert "nvidia.com/gpumem: 3000 asked and 3000 used of 5000 MiB" in (decision.to_dict()["message"] or "")
    assert decide(objects, pod("q", gpu="1", gpumem="2000")).node == "n"


def test_a_percentage_is_checked_against_the_quota_on_the_card() -> None:
    decision = decide([node("n", "GPU-a"), QUOTA], pod(gpu="1", gpumem_percentage="75"))
    assert decision.to_dict()["nodes"]["n"] == {"fits": False, "reason": "1/1 ResourceQuotaNotFit"}


def test_a_share_of_a_card_that_the_node_does_not_have_is_reported() -> None:
    asked = pod(gpu="1")
    elsewhere = placed(asked, decide([node("n", "GPU-gone")], asked))
    decision = decide([node("n", "GPU-a"), elsewhere], pod("q", gpu="1"))
    assert decision.node == "n"
    assert decision.problems == ("pod default/p holds NVIDIA card GPU-gone, which node n does not register",)


def test_every_card_that_was_passed_over_is_explained() -> None:
    (line,) = decide([node("n", "GPU-a")], pod(gpu="1", gpumem="9000")).explain()["n"]
    assert "GPU-a" in line
    assert "9000" in line


def test_a_nameless_pod_is_an_error() -> None:
    with pytest.raises(BadWire, match=r"metadata\.name is missing"):
        decide([], {"kind": "Pod", "metadata": {}})


CLUSTER = [
    node("a", "GPU-1", "GPU-2"),
    node("b", "GPU-3"),
    node("c"),
    placed(pod("x", gpu="1", gpumem="3000"), decide([node("a", "GPU-1")], pod("x", gpu="1", gpumem="3000"))),
    placed(pod("y", gpu="1", gpumem="100"), decide([node("b", "GPU-3")], pod("y", gpu="1", gpumem="100"))),
]


@given(st.permutations(CLUSTER))
def test_the_order_of_the_objects_does_not_matter(objects: list[dict[str, Any]]) -> None:
    asked = pod(gpu="1", gpumem="1000")
    assert decide(objects, asked).to_dict() == decide(CLUSTER, asked).to_dict()
