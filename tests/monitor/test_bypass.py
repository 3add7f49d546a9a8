"""A process of a pod that uses its device past the library is found, told to the node agent, and said in an event."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest
from tests.kube.fake_api import until
from tests.kube.loop import in_loop
from tests.monitor.running import Container, HostMaker, container_on, devices_of, holding, start
from tests.node.world import GPU, world
from tests.node.world import container as asks_for

from hami_core.monitor.bypass import BypassReport
from hami_core.monitor.containers import ContainerFolders
from hami_core.monitor.devices import DeviceWatch
from hami_core.monitor.monitor import Monitor
from hami_core.node.files import NodeFiles, Record
from hami_core.node.findings import Bypassed, Findings, Stranger, read_findings, write_findings

UID = "1b2c-uid"


@attrs.frozen
class Node:
    """A node with a pod, whose control groups the test tells."""

    root: Path
    main: Container
    devices: DeviceWatch
    monitor: Monitor
    inside: set[int]

    def look(self) -> tuple[Bypassed, ...]:
        """What the agent reads after another look at the driver."""
        self.devices.look()
        self.monitor.tick()
        return read_findings(self.root).bypassed


@pytest.fixture
def node(host: HostMaker, tmp_path: Path) -> Node:
    machine, inside = host("t4"), set[int]()
    root = tmp_path / "hami"
    main = container_on(machine, root, UID, 4000)
    record = {"namespace": "team", "pod": "train", "uid": UID, "library": "/lib/1"}
    (main.folder / "record").write_text(json.dumps(record))

    def cgroup(pid: int) -> str:
        return f"0::/kubepods.slice/kubepods-pod{UID.replace('-', '_')}.slice/cri\n" if pid in inside else "0::/\n"

    devices = devices_of(machine)
    monitor = Monitor([ContainerFolders(root, node="n")], devices, report=BypassReport(root), cgroup=cgroup)
    return Node(root, main, devices, monitor, inside)


def test_a_process_without_the_library_is_named_at_the_second_look_and_forgotten_when_it_is_gone(node: Node) -> None:
    with holding(node.main.start(500), 500) as held, holding(start(node.main.host, 300), 300) as stranger:
        node.inside.update((held.pid, stranger.pid))
        assert node.look() == (), "it may only just have started"
        (found,) = node.look()
        assert (found.namespace, found.pod, found.uid) == ("team", "train", UID)
        assert [process.pid for process in found.processes] == [stranger.pid]
        assert found.processes[0].command.startswith("python")
        stranger.kill()
        stranger.wait()
        assert node.look() == ()


def test_a_process_of_nobodys_pod_is_no_bypass(node: Node) -> None:
    with holding(start(node.main.host, 300), 300):
        assert node.look() == node.look() == ()


def test_ticks_between_two_looks_at_the_driver_do_not_count_as_looks(node: Node) -> None:
    with holding(start(node.main.host, 300), 300) as stranger:
        node.inside.add(stranger.pid)
        node.look()
        for _ in range(3):
            node.monitor.tick()
        assert read_findings(node.root).bypassed == ()


def test_the_monitors_of_a_node_that_cannot_be_written_to_go_on(node: Node) -> None:
    (node.root / "findings.json").mkdir()
    with holding(start(node.main.host, 300), 300) as stranger:
        node.inside.add(stranger.pid)
        assert node.look() == node.look() == ()
    assert sorted(file.name for file in node.root.iterdir()) == ["containers", "findings.json"], (
        "no draft is left behind"
    )


@pytest.mark.parametrize(
    "content", [b"", b"[1]", b"\xff", b'{"bypassed": [{"pod": 1}]}', b"{" * 5000, b"x" * (2 << 20)]
)
def test_a_list_that_cannot_be_read_is_an_empty_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "findings.json").write_bytes(content)
    assert read_findings(tmp_path) == Findings()


def test_a_list_behind_a_link_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    write_findings(tmp_path / "elsewhere", Findings(bypassed=(Bypassed(namespace="n", pod="p", uid="u"),)))
    (tmp_path / "findings.json").symlink_to(tmp_path / "elsewhere" / "findings.json")
    assert read_findings(tmp_path) == Findings()


@in_loop
async def test_the_agent_says_it_in_one_event_on_the_pod_and_nothing_of_pods_that_are_gone(tmp_path: Path) -> None:
    async with world(tmp_path, refresh_s=0.1) as here:
        await here.start()
        files = NodeFiles(here.settings.paths.files)
        await here.place("train", asks_for("main"))
        files.make(
            Record(namespace="team", pod="train", uid="uid-train", container="main", family="NVIDIA", cdi_device="",
                   library="/lib/1")
        )  # fmt: skip
        sly = Stranger(pid=4711, command="sly")
        found = tuple(
            Bypassed(namespace="team", pod=pod, uid=f"uid-{pod}", processes=(sly,)) for pod in ("gone", "train")
        )
        write_findings(here.settings.paths.files, Findings(bypassed=found))
        await until(lambda: [each for each in here.cluster.events if each["reason"] == "IsolationBypassed"])
        await here.agent.refresh()
        await here.agent.refresh()
        (event,) = [each for each in here.cluster.events if each["reason"] == "IsolationBypassed"]
        assert (event["involvedObject"]["kind"], event["involvedObject"]["name"]) == ("Pod", "train")
        assert (event["type"], "4711 (sly)" in event["message"]) == ("Warning", True)
        assert here.kubelet.devices(GPU)
