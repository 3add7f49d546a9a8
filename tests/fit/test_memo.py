"""What is remembered about request shapes: which pods share it, and how much of it there is."""

from __future__ import annotations

from typing import Any

import pytest
from tests.fit.kit import PLAIN, ask, card, fleet, held, pod, registry

from hami_core.behaviour import Candidate, FitBehaviour, FitContext, Rule
from hami_core.fit import Fleet
from hami_core.fit.memo import MOST_PLACEMENTS, MOST_SHAPES
from hami_core.model import ContainerKind, ContainerRequest, DeviceRequest, PodRequest, ScoringWeights, Selector
from hami_core.objects import NodeFacts
from hami_core.verdict import Reason


def by_annotation(_use: Any, _request: DeviceRequest, context: FitContext) -> bool:
    return context.pod.annotations.get("test/refuse") != "yes"


READS_ANNOTATIONS = registry(GPU=FitBehaviour(rules=(Rule(reason=Reason.CUSTOM_RULE, test=by_annotation),)))
BASE = pod(ask(1000, cores=10))


@pytest.mark.parametrize(
    "other",
    [
        pod(ask(2000, cores=10)),
        pod(ask(1000, cores=100)),
        pod(ask(1000, cores=10, count=2)),
        pod(ask(1000, cores=10), ask(1000, cores=10)),
        pod((ContainerKind.INIT, ask(1000, cores=10))),
        PodRequest(name="renamed", containers=(ContainerRequest(name="main", devices=BASE.containers[0].devices),)),
        pod(ask(1000, cores=10), node_policy="spread"),
        pod(ask(1000, cores=10), device_policy="binpack"),
        pod(ask(1000, cores=10), weights=ScoringWeights(slot=0, core=0, memory=1)),
        pod(ask(1000, cores=10), selectors={"GPU": Selector(allow_types=("H100",))}),
        pod(ask(1000, cores=10), annotations={"test/refuse": "yes"}),
    ],
)
def test_pods_that_differ_in_anything_that_matters_share_no_answers(other: PodRequest) -> None:
    cards = card("gpu-0"), card("gpu-1", index=1), card("gpu-2", index=2, model="GPU-H100")
    made = fleet(*cards, registry=READS_ANNOTATIONS)
    made.upsert_node(NodeFacts(name="node-b"), [card("gpu-b")])
    made.add_pod("busy", held(gpu_0=(500, 30), gpu_1=(5000, 0), gpu_2=(800, 20)))
    first, fresh = made.decide(BASE).best, made.snapshot().decide(other).best
    remembered = made.decide(other).best
    assert remembered == fresh
    assert remembered != first


def test_pods_of_one_job_share_answers_without_being_tried_again() -> None:
    tried = []

    def choose(candidates: Any, request: DeviceRequest, context: FitContext) -> list[Candidate]:
        tried.append(context.pod.name)
        return list(candidates)[: request.count]

    counting = registry(GPU=FitBehaviour(chooser=choose, chooses=lambda _pod, _request: True))
    made = fleet(card(), registry=counting)
    for number in range(5):
        made.decide(pod(ask(), name=f"worker-{number}"))
    assert tried == ["worker-0"]
    made.add_pod("other", held(gpu_0=(10, 0)))
    made.decide(pod(ask(), name="worker-5"))
    assert tried == ["worker-0", "worker-5"]


def test_a_quota_is_looked_at_for_every_pod() -> None:
    made = fleet(card())
    made.decide(pod(ask(1000)))
    made.set_quota("default", {"gpu.test/memory": 999})
    assert made.decide(pod(ask(1000))).best is None
    assert made.decide(pod(ask(1000), namespace="other")).best is not None
    made.set_quota("default", {})
    assert made.decide(pod(ask(1000))).best is not None


def test_memory_for_shapes_and_their_placements_is_bounded() -> None:
    made = Fleet(PLAIN)
    for number in range(MOST_PLACEMENTS + 10):
        made.upsert_node(NodeFacts(name=f"node-{number:03}"), [card(f"gpu-{number}")])
    for number in range(MOST_SHAPES + 10):
        made.decide(pod(ask(number + 1)))
    assert len(made._memo._shapes) == MOST_SHAPES
    for number in range(MOST_PLACEMENTS + 10):
        made.decide(pod(ask(1)), [f"node-{number:03}"])
    assert max(len(known.placements) for known in made._memo._shapes.values()) == MOST_PLACEMENTS
    assert made.decide(pod(ask(1)), ["node-000"]).best is not None


@pytest.mark.parametrize("changes", [1, 30], ids=["a few nodes", "many nodes"])
def test_nodes_that_changed_are_judged_anew_and_gone_ones_left_out(changes: int) -> None:
    made = Fleet(PLAIN)
    names = [f"node-{number:03}" for number in range(40)]
    for name in names:
        made.upsert_node(NodeFacts(name=name), [card(f"gpu-{name}", slots=1)])
    assert made.decide(pod(ask())).best is not None
    for name in names[:changes]:
        made.add_pod(name, held(name, **{f"gpu_{name.replace('-', '_')}": (10, 0)}))
    for name in names[changes : changes * 2 if changes == 1 else changes + 9]:
        made.remove_node(name)
    left = made.nodes[changes:]
    best = made.decide(pod(ask())).best
    assert best is not None
    assert best.placement.node == left[0]
