"""What a test of the node works in: a namespace on the real node, and pods in it."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from tests.cluster.api import Api, Object
from tests.cluster.processes import wait_for
from tests.kubelet.images import WORKLOAD
from tests.kubelet.node_processes import NodeProcesses
from tests.kubelet.real_node import RealNode

PATIENCE_S = 150.0  # a container starts within a few seconds, but this machine may be busy
GPU = "nvidia.com/gpu"
OUT_OF_MEMORY = 2  # CUDA_ERROR_OUT_OF_MEMORY


def gpu_container(
    name: str, memory_mib: int, *, take_mib: int = 100, more_mib: int = 0, gpus: int = 1, **more: Any
) -> Object:
    """A container that takes memory of its first card and says what it saw."""
    limits = {GPU: str(gpus), "nvidia.com/gpumem": str(memory_mib)}
    command = ["workload", str(take_mib), str(more_mib)]
    return {"name": name, "image": WORKLOAD, "command": command, "resources": {"limits": limits}, **more}


class World:
    """A namespace of the test's own; gone at its end, with its pods."""

    def __init__(self, node: RealNode, processes: NodeProcesses, test: str) -> None:
        self.node = node
        self.processes = processes
        self.api: Api = node.plane.api
        self.namespace = f"{re.sub(r'[^a-z0-9]+', '-', test.lower())[:40].strip('-')}-{zlib.crc32(test.encode()):08x}"
        self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})
        account = {"name": "default", "namespace": self.namespace}
        self.api.wait({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account}, "exists")

    def pod(self, name: str, *containers: Object, metadata: Mapping[str, Any] | None = None, **spec: Any) -> Object:
        """A pod, created."""
        manifest = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": self.namespace, **(metadata or {})},
            "spec": {"containers": list(containers), "terminationGracePeriodSeconds": 1, **spec},
        }
        self.api.create(manifest)
        return manifest

    def label(self, labels: Mapping[str, str]) -> None:
        """Label the namespace."""
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        self.api.patch(namespace, {"metadata": {"labels": dict(labels)}})

    def now(self, pod: Object) -> Object:
        """The pod as the API server has it."""
        found = self.api.get(pod)
        assert found is not None
        return found

    def wait(self, pod: Object, what: str, look: Callable[[Object], object]) -> Object:
        """The pod, once `look` says yes to it."""

        def looked(found: Object) -> object:
            self.node.plane.revive_scheduler()
            return look(found)

        return self.api.wait(pod, what, looked, timeout_s=PATIENCE_S)

    def running(self, pod: Object) -> Object:
        """The pod, once all of its containers run."""
        return self.wait(pod, "runs", _all_run)

    def said(self, pod: Object, container: str) -> Any:
        """What a container says that it sees."""
        return self.node.said(pod, container)

    def delete(self, pod: Object) -> None:
        """Delete a pod, and wait until kubelet has ended it."""
        self.api.call("DELETE", f"/api/v1/namespaces/{self.namespace}/pods/{pod['metadata']['name']}")
        wait_for(f"no pod {pod['metadata']['name']}", lambda: self.api.get(pod) is None, timeout_s=PATIENCE_S)

    def end_pods(self) -> None:
        """Delete all pods, and wait until kubelet has ended them."""
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        self.api.call("DELETE", path, {"gracePeriodSeconds": 1})
        wait_for("no pods left", lambda: not self.api.list("Pod", self.namespace), timeout_s=PATIENCE_S)

    def close(self) -> None:
        """Remove everything."""
        self.end_pods()
        self.api.delete({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})


def _all_run(pod: Object) -> bool:
    statuses = pod["status"].get("containerStatuses", ())
    return len(statuses) == len(pod["spec"]["containers"]) and all("running" in one["state"] for one in statuses)
