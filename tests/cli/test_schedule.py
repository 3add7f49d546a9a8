"""`hami schedule`: kubectl's output in, a decision out; in a table, as JSON, or line by line."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from hami_core.model import Device
from hami_core.wire.register import encode_json

from .conftest import HAMI, Hami

GOLDEN = Path(__file__).parent / "golden"


def node(name: str, *, memory_mib: int = 46068, register: str | None = None) -> dict[str, Any]:
    card = Device(uuid=f"GPU-{name}", family="NVIDIA", model="NVIDIA-NVIDIA A40", memory_mib=memory_mib, slots=10)
    annotations = {"hami.io/node-nvidia-register": encode_json([card]) if register is None else register}
    return {"kind": "Node", "metadata": {"name": name, "annotations": annotations}, "status": {}}


def pod(name: str, memory_mib: object = 30000, **metadata: object) -> dict[str, Any]:
    limits = {"nvidia.com/gpu": "1", "nvidia.com/gpumem": str(memory_mib)}
    container = {"name": "main", "image": "train:1", "resources": {"limits": limits}}
    return {"kind": "Pod", "metadata": {"name": name, **metadata}, "spec": {"containers": [container]}}


def write(folder: Path, name: str, *documents: object) -> str:
    file = folder / name
    file.write_text("\n".join(json.dumps(document) for document in documents))
    return str(file)


def test_json_is_the_documented_object(hami: Hami, tmp_path: Path) -> None:
    cluster = write(tmp_path, "cluster", {"kind": "List", "items": [node("big"), node("small", memory_mib=16000)]})
    outcome = hami("schedule", "--cluster", cluster, "-f", write(tmp_path, "pod", pod("p0")), "-o", "json")
    assert outcome.code == 0, outcome.err
    assert outcome.out == (GOLDEN / "schedule.json").read_text()


def test_yaml_is_the_same_object(hami: Hami, tmp_path: Path) -> None:
    question = ["--cluster", write(tmp_path, "cluster", node("big")), "-f", write(tmp_path, "pod", pod("p0"))]
    as_json, as_yaml = (hami("schedule", *question, "-o", form).out for form in ("json", "yaml"))
    assert json.loads(as_json) == yaml.safe_load(as_yaml)


def test_the_table_says_why_card_by_card_when_asked_to(hami: Hami, tmp_path: Path) -> None:
    question = [
        "--cluster",
        write(tmp_path, "c", node("small", memory_mib=16000)),
        "-f",
        write(tmp_path, "p", pod("p0")),
    ]
    short, long = hami("schedule", *question), hami("schedule", *question, "--explain")
    assert (short.code, long.code) == (75, 75)
    assert "pod default/p0: fits nowhere\n" in short.out
    assert "1/1 CardInsufficientMemory" in short.out
    assert "30000 MiB asked" not in short.out
    assert "GPU-small (A40): 30000 MiB asked, 16000 MiB free of 16000" in long.out
    assert "would fit with container main: NVIDIA 16000 MiB instead of 30000: fits small\n" in long.out


def test_cluster_and_pod_may_be_many_documents_in_yaml_on_stdin(hami: Hami, tmp_path: Path) -> None:
    cluster = yaml.safe_dump_all([node("a"), {"kind": "List", "items": [node("b")]}])
    outcome = hami("schedule", "--cluster", "-", "-f", write(tmp_path, "pod", pod("p0")), "-o", "json", stdin=cluster)
    assert list(json.loads(outcome.out)["nodes"]) == ["a", "b"]


def test_without_a_pod_the_pending_ones_are_placed_beside_each_other(hami: Hami, tmp_path: Path) -> None:
    placed = pod("placed")
    placed["spec"]["nodeName"] = "a"
    bare = {"kind": "Pod", "metadata": {"name": "no-devices"}, "spec": {"containers": [{"name": "main"}]}}
    cluster = write(tmp_path, "c", node("a"), node("b"), pod("p0"), bare, placed, pod("p1"), pod("p2"))
    outcome = hami("schedule", "--cluster", cluster, "-o", "json")
    decisions = json.loads(outcome.out)["decisions"]
    assert [decision["pod"] for decision in decisions] == ["default/p0", "default/p1", "default/p2"]
    assert sorted(str(decision["node"]) for decision in decisions) == ["None", "a", "b"]
    assert decisions[2]["node"] is None
    assert outcome.code == 75


def test_a_pod_that_asks_for_no_device_may_go_anywhere(hami: Hami, tmp_path: Path) -> None:
    bare = {"kind": "Pod", "metadata": {"name": "bare"}, "spec": {"containers": [{"name": "main"}]}}
    outcome = hami("schedule", "--cluster", write(tmp_path, "c", node("a")), "-f", write(tmp_path, "p", bare))
    assert outcome.code == 0, outcome.err
    assert "pod default/bare: asks for no device, any node will do" in outcome.out


def test_a_refused_pod_gets_the_webhooks_text_and_exit_code_2(hami: Hami, tmp_path: Path) -> None:
    question = ["--cluster", write(tmp_path, "c", node("a")), "-f", write(tmp_path, "p", pod("p0", "16Gi"))]
    outcome = hami("schedule", *question)
    assert outcome.code == 2
    assert "container main: nvidia.com/gpumem must be a whole number of MiB" in outcome.out
    assert "(write 16384)" in outcome.out


def test_a_node_with_a_malformed_annotation_is_broken_alone_and_said_so_in_one_line(hami: Hami, tmp_path: Path) -> None:
    cluster = write(tmp_path, "c", node("good"), node("bad", register="[{"))
    outcome = hami("schedule", "--cluster", cluster, "-f", write(tmp_path, "p", pod("p0")), "-o", "json")
    decision = json.loads(outcome.out)
    assert decision["node"] == "good"
    assert "node bad: annotation hami.io/node-nvidia-register: is not JSON" in decision["nodes"]["bad"]["reason"]
    assert outcome.err.startswith("hami: node bad: annotation hami.io/node-nvidia-register")
    assert outcome.err.count("\n") == 1
    assert outcome.code == 2


@pytest.mark.parametrize(
    ("document", "message"),
    [
        pytest.param("no: [", "is not JSON or YAML", id="neither"),
        pytest.param("{}", 'holds "object"; expected a Pod', id="nothing"),
        pytest.param("kind: Deployment", 'holds "Deployment"; expected a Pod', id="deployment"),
        pytest.param("kind: Pod", "metadata.name is missing", id="nameless"),
    ],
)
def test_a_pod_file_without_a_pod_is_one_line_and_exit_code_2(
    hami: Hami, tmp_path: Path, document: str, message: str
) -> None:
    (tmp_path / "pod").write_text(document)
    outcome = hami("schedule", "--cluster", write(tmp_path, "c", node("a")), "-f", str(tmp_path / "pod"))
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err
    assert outcome.err.count("\n") == 1


def test_hamis_own_device_config_renames_resources(hami: Hami, tmp_path: Path) -> None:
    config = tmp_path / "device-config.yaml"
    config.write_text("nvidia: {resourceCountName: acme.com/gpu, resourceMemoryName: acme.com/mem}\n")
    renamed = pod("p0")
    renamed["spec"]["containers"][0]["resources"]["limits"] = {"acme.com/gpu": 1, "acme.com/mem": 20000}
    question = ["--cluster", write(tmp_path, "c", node("a")), "-f", write(tmp_path, "p", renamed), "-o", "json"]
    shares = json.loads(hami("schedule", *question, "--config", str(config)).out)["nodes"]["a"]["devices"]["NVIDIA"]
    assert shares == [[{"uuid": "GPU-a", "memory_mib": 20000, "core_percent": 0}]]
    config.write_text("nvidia: {resourceCuntName: acme.com/gpu}\n")
    outcome = hami("schedule", *question, "--config", str(config))
    assert outcome.code == 2
    assert "resourceCountName" in outcome.err


def test_lines_are_answered_one_by_one_as_they_come(environ: dict[str, str]) -> None:
    with subprocess.Popen(
        [HAMI, "schedule", "--jsonl"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env=environ,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None

        def ask(line: str) -> dict[str, Any]:
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
            answer: dict[str, Any] = json.loads(process.stdout.readline())
            return answer

        assert ask(json.dumps({"objects": [node("a")], "pod": pod("p0")}))["node"] == "a"
        assert ask("{") == {"error": "question: is not JSON: Input data was truncated", "line": 2}
        assert ask('{"objects": []}') == {"error": 'question: expected {"objects": [...], "pod": {...}}', "line": 3}
        assert "metadata.name is missing" in ask('{"objects": [], "pod": {}}')["error"]
        assert ask(json.dumps({"objects": [node("a")], "pod": pod("p1")}))["node"] == "a"
        _, errors = process.communicate()
    assert (process.returncode, errors) == (2, "")


def test_a_line_gets_the_answer_that_the_command_gives(hami: Hami, tmp_path: Path) -> None:
    line = json.dumps({"objects": [node("a")], "pod": pod("p0")})
    question = ["--cluster", write(tmp_path, "c", node("a")), "-f", write(tmp_path, "p", pod("p0"))]
    assert json.loads(hami("schedule", "--jsonl", stdin=f"{line}\n").out) == json.loads(
        hami("schedule", *question, "-o", "json").out
    )
