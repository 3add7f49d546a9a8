"""One control plane for the session, the chart applied to it, and `hami scheduler` run as the chart would run it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.api import Api
from tests.cluster.built import built
from tests.cluster.control_plane import ControlPlane
from tests.cluster.install import SCHEDULER_USER, Installation, install
from tests.cluster.interceptor import Interceptor
from tests.cluster.processes import NotReady
from tests.cluster.reporting import pytest_runtest_makereport  # noqa: F401 - a hook: pytest finds it here
from tests.cluster.world import World

HERE = Path(__file__).parent
MODULES = {"current": HERE, "older": HERE / "older"}


@pytest.fixture(scope="session")
def binaries() -> Path:
    """Kubernetes' components: the minor that KUBERNETES says, `current` or `older`."""
    minor = os.environ.get("KUBERNETES", "current")
    if minor not in MODULES:
        pytest.exit(f"KUBERNETES must be one of {', '.join(MODULES)}; got {minor}", returncode=3)
    return built(MODULES[minor])


@pytest.fixture(scope="session")
def etcd() -> Path:
    return built(HERE, "etcd") / "etcd"


@pytest.fixture(scope="session")
def helm() -> Path:
    return built(HERE.parent / "chart") / "helm"


@pytest.fixture(scope="session")
def control_plane(binaries: Path, etcd: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    plane = ControlPlane(binaries, tmp_path_factory.mktemp("cluster"), etcd=etcd)
    try:
        plane.start()
        yield plane
    except NotReady:
        print(plane.tails())
        raise
    finally:
        plane.stop()


@pytest.fixture(scope="session")
def installation(control_plane: ControlPlane, helm: Path) -> Iterator[Installation]:
    """The chart, applied; kube-scheduler and `hami scheduler` running under its service accounts."""
    made = install(control_plane, helm)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def api(control_plane: ControlPlane) -> Api:
    """As the cluster's administrator."""
    return control_plane.api


@pytest.fixture
def world(installation: Installation, control_plane: ControlPlane, request: pytest.FixtureRequest) -> Iterator[World]:
    """A namespace and nodes of the test's own; gone at its end."""
    made = World(control_plane, installation, request.node.name)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def interceptor(control_plane: ControlPlane, installation: Installation, world: World) -> Iterator[Interceptor]:
    """Is asked before the API server carries out what the scheduler writes."""
    made = Interceptor(control_plane, SCHEDULER_USER)
    node = world.add_node({"metadata": {"name": "touched"}})
    as_scheduler = Api(control_plane.url, installation.scheduler_token, control_plane.ca)
    count = iter(range(1000))
    try:
        made.watch(lambda: as_scheduler.patch(node, {"metadata": {"annotations": {"touched": str(next(count))}}}))
        yield made
    finally:
        made.close()
        as_scheduler.close()
