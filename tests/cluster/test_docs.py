"""What the pages tell an administrator to type at a cluster, typed at one: a real API server, helm and kubectl.

Every line of a ``bash`` block that begins with helm, kubectl or hami is run in the order of its page, as typed, and
must end well. `CANNOT` names those that no control plane without nodes can answer. Other programs (docker, curl,
sudo) are not ours to run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest
from tests.cluster.built import built
from tests.cluster.control_plane import ControlPlane
from tests.cluster.install import SCHEDULER, install
from tests.cluster.world import LATE, add_node, gpu
from tests.docs.pages import ROOT, Line, blocks, lines

PAGES = ("quick-start", "install", "upgrade-from-hami", "scheduler", "node-agent", "monitoring", "troubleshooting")
PROGRAMS = ("helm", "kubectl", "hami")
COMMAND_TIMEOUT_S = 120

CANNOT = {
    "kubectl -n hami-system rollout status": "waits for pods, and no node here starts any",
    "kubectl -n hami-system port-forward": "goes through a kubelet",
    "helm upgrade hami hami-charts/hami": "HAMi's chart comes from a repository elsewhere",
    "hami node-agent": "needs kubelet's sockets; tests/node and tests/kubelet run it",
    "hami resize pod": "waits for a node agent; tests/cluster/test_resize.py and tests/node run both ends",
    "hami resize lease": "needs a lease of this machine; tests/local makes one",
}
"""Beginnings of commands, and why they cannot run here."""

WEBHOOK = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration"}

STANDS_FOR = {"NAME": "hami-webhook", "NODE": "n1", "your-values.yaml": "/dev/null"}
"""Words that the reader replaces."""

MAY_COMPLAIN = {"hami doctor": 1}
"""It works, and what it finds in half a cluster is its answer: tests/cluster/test_doctor.py says what it must find."""


def commands(page: str) -> list[Line]:
    """What is typed at the cluster, in order."""
    found = [line for block in blocks("bash") for line in lines(block)]
    return [line for line in found if line.place.startswith(f"docs/{page}.md:") and line.text.split()[0] in PROGRAMS]


def _cannot(line: Line) -> bool:
    return any(line.text.startswith(beginning) for beginning in CANNOT)


@attrs.frozen
class Terminal:
    """Where an administrator types: in the root of a clone, with the three programs and a kubeconfig."""

    path: str
    home: Path

    def type(self, line: Line) -> str:
        """Run it; its output."""
        done = self._run(" ".join(STANDS_FOR.get(word, word) for word in line.text.split(" ")))
        allowed = {0, *(code for beginning, code in MAY_COMPLAIN.items() if line.text.startswith(beginning))}
        said = f"{line.place}: {line.text}\n{done.stdout}{done.stderr}"
        assert done.returncode in allowed, f"exit code {done.returncode} of {said}"
        assert "Traceback" not in done.stderr, said
        return done.stdout

    def tidy(self) -> None:
        """Take away what pages leave behind for their readers."""
        for command in (
            "helm uninstall hami shares --namespace hami-system --ignore-not-found",
            "kubectl delete pod default-use --ignore-not-found --force",
        ):
            done = self._run(command)
            assert done.returncode == 0, done.stderr

    def _run(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            check=False,
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={"PATH": self.path, "HOME": str(self.home)},
            timeout=COMMAND_TIMEOUT_S,
        )


@pytest.fixture(scope="module")
def plane(binaries: Path, etcd: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane that nobody has installed anything on."""
    made = ControlPlane(binaries, tmp_path_factory.mktemp("newcomer"), etcd=etcd)
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def terminal(plane: ControlPlane, helm: Path, tmp_path: Path) -> Terminal:
    kubectl = built(Path(__file__).parent / "kubectl")
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text(plane.admin_kubeconfig.read_text())
    folders = [str(kubectl), str(helm.parent), str(Path(sys.executable).parent), os.environ["PATH"]]
    return Terminal(os.pathsep.join(folders), tmp_path)


def _nothing(_plane: ControlPlane) -> None:
    pass


def _node(plane: ControlPlane) -> None:
    """The node of the pages, with the card that they name and one more."""
    register = json.dumps([{**gpu(0, 46068), "id": "GPU-03f2"}, gpu(1, 46068)])
    add_node(plane.api, {"metadata": {"name": "n1", "annotations": {"hami.io/node-nvidia-register": register, **LATE}}})


def _hami(plane: ControlPlane) -> None:
    """HAMi's scheduler, as far as the page touches it."""
    labels = {"app": "hami-scheduler"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "none"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": pod}
    deployment = {"name": "hami-scheduler", "namespace": "kube-system"}
    plane.api.create({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": deployment, "spec": spec})
    plane.api.create({**WEBHOOK, "metadata": {"name": STANDS_FOR["NAME"]}})


BEFORE: dict[str, Callable[[ControlPlane], None]] = {
    "quick-start": _node,
    "install": _node,
    "upgrade-from-hami": _hami,
    "node-agent": _node,
}
"""What a page takes for granted."""


def _cluster_begins(plane: ControlPlane, helm: Path) -> None:
    """Start what the nodes of a cluster would have started by now: the chart's two processes of the scheduler side."""
    # Its Service leads to pods; here the API server is sent to the process itself, and it takes one way only.
    plane.api.delete({**WEBHOOK, "metadata": {"name": SCHEDULER}})
    install(plane, helm).close()


def _pod_is_bound(plane: ControlPlane, _helm: Path) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "default-use", "namespace": "default"}}
    plane.api.wait(pod, "is bound", lambda found: found["spec"].get("nodeName"))


AFTER = {"helm install hami ": _cluster_begins, "kubectl apply -f examples/nvidia/default_use.yaml": _pod_is_bound}
"""What happens in a cluster once such a command was typed."""


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)])
def test_what_a_page_tells_an_administrator_to_type_works(
    page: str, terminal: Terminal, plane: ControlPlane, helm: Path
) -> None:
    BEFORE.get(page, _nothing)(plane)
    try:
        for line in commands(page):
            if _cannot(line):
                continue
            terminal.type(line)
            for beginning, happens in AFTER.items():
                if line.text.startswith(beginning):
                    happens(plane, helm)
    finally:
        terminal.tidy()
        for name in set(plane.services) & {"kube-scheduler", "hami-scheduler"}:
            plane.services.pop(name).stop()
        plane.api.delete({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}})
        plane.api.delete({**WEBHOOK, "metadata": {"name": SCHEDULER}})  # ours by now, which helm leaves alone


@pytest.mark.parametrize("beginning", [*CANNOT, *AFTER, *MAY_COMPLAIN])
def test_what_is_said_of_a_command_is_of_one_that_a_page_has(beginning: str) -> None:
    assert [line.place for page in PAGES for line in commands(page) if line.text.startswith(beginning)]


@pytest.mark.parametrize("word", STANDS_FOR)
def test_a_word_that_the_reader_replaces_is_on_a_page(word: str) -> None:
    assert [line.place for page in PAGES for line in commands(page) if word in line.text.split(" ")]
