"""A control plane with a real node in a sandbox, the chart applied, the processes of the node run as the chart says."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.built import built
from tests.cluster.control_plane import ControlPlane
from tests.cluster.install import Installation, install
from tests.cluster.processes import NotReady
from tests.cluster.reporting import pytest_runtest_makereport  # noqa: F401 - a hook: pytest finds it here
from tests.kubelet.node_processes import VALUES, NodeProcesses
from tests.kubelet.real_node import RealNode, Tools
from tests.kubelet.sandbox import why_not
from tests.kubelet.world import World

HERE = Path(__file__).parent
NODE = "n1"


def pytest_configure(config: pytest.Config) -> None:
    problem = why_not()
    if problem is not None:
        pytest.exit(problem, returncode=3)


@pytest.fixture(scope="session")
def tools() -> Tools:
    subprocess.run([str(HERE / "build.sh")], stdout=subprocess.DEVNULL, check=True)
    return Tools(kubelet=built(HERE), containerd=built(HERE / "containerd"))


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    plane = ControlPlane(built(HERE.parent / "cluster"), tmp_path_factory.mktemp("cluster"), nodes=[NODE])
    try:
        plane.start()
        yield plane
    except NotReady:
        print(plane.tails())
        raise
    finally:
        plane.stop()


@pytest.fixture(scope="session")
def real_node(
    control_plane: ControlPlane, tools: Tools, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealNode]:
    node = RealNode(control_plane, tools, tmp_path_factory.mktemp("node"), name=NODE)
    try:
        node.start()
        yield node
    except NotReady:
        print(control_plane.tails())
        raise
    finally:
        node.stop()


@pytest.fixture(scope="session")
def installation(control_plane: ControlPlane) -> Iterator[Installation]:
    """The chart, applied; kube-scheduler and `hami scheduler` running under its service accounts."""
    made = install(control_plane, built(HERE.parent / "chart") / "helm", VALUES)
    yield made
    made.close()


@pytest.fixture(scope="session")
def processes(real_node: RealNode, installation: Installation) -> NodeProcesses:
    """The node agent and the monitor; `world` starts the agent."""
    return NodeProcesses(real_node, installation)


@pytest.fixture
def world(real_node: RealNode, processes: NodeProcesses, request: pytest.FixtureRequest) -> Iterator[World]:
    """A namespace of the test's own, with the agent at work."""
    if not processes.agent.running:
        processes.start_agent()
    made = World(real_node, processes, request.node.name)
    try:
        yield made
    finally:
        if not processes.agent.running:
            processes.start_agent()
        made.close()
