"""What is Acme's own: templates, the register, the ring."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fake_host import MACHINE, lay_out
from hami_core import NodeFacts, decide, load_registry
from hami_core.errors import BadWire
from hami_core.score import builtin

import hami_acme
from hami_acme.probe import probe_under
from hami_acme.register import REGISTER, AcmeRegister, encode

REGISTRY = load_registry(plugins=[builtin, hami_acme])
NODE = json.loads(MACHINE.read_text(encoding="utf-8"))["node"]


def node(annotations: dict[str, str] = NODE["annotations"]) -> dict[str, Any]:
    return {"kind": "Node", "metadata": {"name": "ring", "annotations": annotations}, "status": {"capacity": {}}}


def pod(name: str, **limits: object) -> dict[str, Any]:
    named = {f"acme.com/{key.replace('_', '-')}": value for key, value in limits.items()}
    container = {"name": "c", "image": "x", "resources": {"limits": named}}
    return {"kind": "Pod", "metadata": {"name": name, "uid": name}, "spec": {"containers": [container]}}


def cards(objects: list[dict[str, Any]], item: dict[str, Any]) -> list[str]:
    decision = decide(objects, item, registry=REGISTRY)
    text = decision.annotations.get("acme.com/devices-allocated", "")
    return [card.split(",")[0] for card in text.rstrip(";:").split(":") if card]


def placed(item: dict[str, Any], objects: list[dict[str, Any]]) -> dict[str, Any]:
    decision = decide(objects, item, registry=REGISTRY)
    admitted: dict[str, Any] = json.loads(json.dumps(decision.admission.pod))
    admitted["metadata"]["annotations"] = dict(decision.annotations)
    return admitted


def test_memory_is_rounded_up_to_a_template() -> None:
    decision = decide([node()], pod("p", npu=1, npu_memory=10_000), registry=REGISTRY)
    assert decision.annotations["acme.com/templates"] == "vir05"
    assert ",ACME,16384,0:" in decision.annotations["acme.com/devices-allocated"]


def test_more_than_the_largest_template_is_a_whole_card() -> None:
    decision = decide([node()], pod("p", npu=1, npu_memory=40_000), registry=REGISTRY)
    assert decision.annotations["acme.com/templates"] == "whole"


def test_parts_of_several_cards_are_refused_with_what_to_do() -> None:
    decision = decide([node()], pod("p", npu=2, npu_memory=100), registry=REGISTRY)
    assert "several cards can only be whole ones; leave acme.com/npu-memory out" in (decision.admission.message or "")


def test_several_cards_are_neighbours() -> None:
    assert cards([node()], pod("p", npu=3)) == ["npu-0", "npu-1", "npu-2"]


def test_a_stretch_may_go_round_the_end_of_the_ring() -> None:
    taken = placed(pod("first", npu=4), [node()])
    busy = [node(), {**taken, "metadata": {**taken["metadata"], "uid": "first"}}]
    other = placed(
        {
            **pod("second", npu=1),
            "metadata": {"name": "second", "uid": "second", "annotations": {"acme.com/use-npu": "npu-5"}},
        },
        busy,
    )
    assert cards([*busy, other], pod("p", npu=2)) == ["npu-6", "npu-7"]


def test_the_register_is_written_as_it_is_read() -> None:
    read = AcmeRegister(hami_acme.FAMILY).decode(NodeFacts(name="ring", annotations=NODE["annotations"]))
    assert encode(read) == NODE["annotations"][REGISTER]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("npu-0", "line 1: must be: id"),
        ("npu-0 model=a mib=x cores=1 slots=1 numa=0 ring=0 place=0 health=ok", "line 1, mib: must be a whole number"),
    ],
)
def test_a_malformed_line_is_refused_with_its_place(line: str, said: str) -> None:
    with pytest.raises(BadWire, match=said):
        AcmeRegister(hami_acme.FAMILY).decode(NodeFacts(name="ring", annotations={REGISTER: line}))


def test_the_probe_reads_rings_and_neighbours(tmp_path: Path) -> None:
    lay_out(tmp_path)
    first = probe_under(tmp_path).devices[0]
    assert [link.peer_uuid for link in first.links] == ["npu-7", "npu-1"]
    assert first.custom == {"ring": 0, "place": 0}
