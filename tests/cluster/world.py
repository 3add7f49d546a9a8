"""What a test works in: a namespace, nodes, and someone who does what device plugins do."""

from __future__ import annotations

import json
import re
import threading
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from tests.cluster.api import Api, Object, Refused, collection, documents
from tests.cluster.control_plane import ControlPlane
from tests.cluster.install import DEVICE_PLUGIN, Installation
from tests.cluster.processes import wait_for

EXAMPLES = Path(__file__).parents[2] / "examples"
LATE = {"hami.io/binding": "late"}  # the node's agent needs no lock


def gpu(index: int, memory_mib: int = 16384, slots: int = 10, *, node: str = "n") -> Object:
    """An entry of NVIDIA's register annotation."""
    return {
        "id": f"GPU-{zlib.crc32(f'{node}/{index}'.encode()):08x}-0000-4000-8000-{index:012d}",
        "index": index,
        "count": slots,
        "devmem": memory_mib,
        "devcore": 100,
        "type": "NVIDIA-NVIDIA A40",
        "mode": "hami-core",
        "health": True,
    }


def gpu_node(name: str, cards: int = 1, memory_mib: int = 16384, slots: int = 10, *, late: bool = True) -> Object:
    """A node with equal NVIDIA cards."""
    register = json.dumps([gpu(index, memory_mib, slots, node=name) for index in range(cards)])
    annotations = {"hami.io/node-nvidia-register": register, **(LATE if late else {})}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "annotations": annotations},
        "status": {"capacity": {"nvidia.com/gpu": str(cards * slots)}},
    }


def example_nodes(vendor: str) -> list[Object]:
    """The nodes that the vendor's examples are made for."""
    return list(documents((EXAMPLES / vendor / "cluster.yaml").read_text()))


def add_node(api: Api, node: Object) -> Object:
    """A node that is ready and takes pods, as a kubelet would have made it; it stays until somebody removes it."""
    made: Object = {"apiVersion": "v1", "kind": "Node", "metadata": dict(node["metadata"])}
    api.create(made)
    capacity = {"cpu": "64", "memory": "256Gi", "pods": "250", **node.get("status", {}).get("capacity", {})}
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
    status = {"capacity": capacity, "allocatable": capacity, "conditions": [ready]}
    api.patch(made, {"status": status}, subresource="/status")
    # Put there by the API server for nodes that were never ready; a controller that does not run here removes it.
    api.patch(made, {"spec": {"taints": None}})
    return api.wait(made, "exists")


class World:
    """Nodes and a namespace, removed by `close`."""

    def __init__(self, plane: ControlPlane, installation: Installation, test: str) -> None:
        self.plane = plane
        self.installation = installation
        self.api: Api = plane.api
        self.namespace = re.sub(r"[^a-z0-9]+", "-", test.lower()).strip("-")[:50].strip("-")
        self.namespace += f"-{zlib.crc32(test.encode()):08x}"
        self._nodes: list[Object] = []
        self._plugins: list[DevicePlugin] = []
        self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})
        account = {"name": "default", "namespace": self.namespace}
        self.api.wait({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account}, "exists")

    def add_node(self, node: Object) -> Object:
        """A node that is ready and takes pods, as a kubelet would have made it."""
        self._nodes.append({"apiVersion": "v1", "kind": "Node", "metadata": dict(node["metadata"])})
        return add_node(self.api, node)

    def start_device_plugin(self) -> DevicePlugin:
        """Someone who finishes binds on every node: frees the node's lock and says that it went well."""
        plugin = DevicePlugin(self.plane, self.namespace)
        self._plugins.append(plugin)
        return plugin

    def account(self, name: str, rules: Sequence[Object]) -> str:
        """A token of a new service account that has these rights everywhere."""
        metadata = {"name": f"{self.namespace}-{name}"}
        account = {"name": name, "namespace": self.namespace}
        self.api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
        _grant(self.api, metadata, rules, account)
        return self.plane.token_of(self.namespace, name)

    def pod(self, name: str, limits: Mapping[str, int | str], **spec: Any) -> Object:
        """A manifest with one container."""
        container = {"name": "main", "image": "none", "resources": {"limits": {k: str(v) for k, v in limits.items()}}}
        return self.placed(
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [container], **spec}}
        )

    def placed(self, manifest: Object) -> Object:
        """The manifest, in this namespace."""
        return {**manifest, "metadata": {**manifest["metadata"], "namespace": self.namespace}}

    def rehearsed(self, pod: Object) -> Object:
        """The pod as it would be created."""
        return self.api.call("POST", f"{collection(pod)}?dryRun=All", pod)

    def example(self, vendor: str, name: str) -> Object:
        """A pod of the examples."""
        return self.placed(yaml.safe_load((EXAMPLES / vendor / f"{name}.yaml").read_text()))

    def bound(self, pod: Object, *, timeout_s: float = 90.0) -> Object:
        """The pod, once it has a node."""

        def look(found: Object) -> object:
            self.plane.revive_scheduler()
            return found["spec"].get("nodeName")

        return self.api.wait(pod, "is bound", look, timeout_s=timeout_s)

    def unschedulable(self, pod: Object, why: str = "", *, timeout_s: float = 90.0) -> Object:
        """The pod, once kube-scheduler has given up on it for now and says `why`.

        A first try may have seen the nodes of the test before.
        """

        def look(found: Object) -> bool:
            conditions = found["status"].get("conditions", ())
            return any(c.get("reason") == "Unschedulable" and why in c["message"] for c in conditions)

        return self.api.wait(pod, f"is unschedulable {why}", look, timeout_s=timeout_s)

    def pods(self) -> list[Object]:
        return self.api.list("Pod", self.namespace)

    def settled(self, pods: Sequence[Object], room: int, *, timeout_s: float = 60.0) -> list[Object]:
        """The pods that are left over once `room` of these are bound."""
        names = {pod["metadata"]["name"] for pod in pods}

        def left() -> list[Object]:
            return [p for p in self.pods() if p["metadata"]["name"] in names and not p["spec"].get("nodeName")]

        wait_for(f"{room} pods bound", lambda: len(left()) <= len(pods) - room, timeout_s=timeout_s, pause_s=0.2)
        return [{**pod, "apiVersion": "v1", "kind": "Pod"} for pod in left()]

    def holdings(self, key: str = "hami.io/vgpu-devices-allocated") -> dict[str, list[tuple[str, int, int]]]:
        """By node: (card, MiB, cores) of every share that this namespace's bound pods hold."""
        held: dict[str, list[tuple[str, int, int]]] = {}
        for pod in self.pods():
            node = pod["spec"].get("nodeName")
            if node:
                text = pod["metadata"]["annotations"][key]
                held.setdefault(node, []).extend(shares(text))
        return held

    def close(self) -> None:
        """Remove everything; the next test begins with an empty cluster."""
        for plugin in self._plugins:
            plugin.stop()
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        self.api.call("DELETE", path, {"gracePeriodSeconds": 0})
        wait_for("no pods left", lambda: not self.pods(), timeout_s=60)
        for node in self._nodes:
            self.api.delete(node)
        self.api.delete({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})


def _grant(api: Api, metadata: Object, rules: Sequence[Object], account: Mapping[str, str]) -> None:
    """A ClusterRole for a service account."""
    rbac = "rbac.authorization.k8s.io"
    api.apply({"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": rules})
    api.apply(
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", **metadata},
            "subjects": [{"kind": "ServiceAccount", **account}],
        }
    )


def shares(text: str) -> Sequence[tuple[str, int, int]]:
    """(card, MiB, cores) of every share in a pod's device annotation."""
    fields = [share.split(",") for container in text.split(";") for share in container.split(":") if share]
    return [(uuid, int(memory_mib), int(cores)) for uuid, _, memory_mib, cores in fields]


class DevicePlugin:
    """Does for one namespace's pods what HAMi's device plugins do, as their service account."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        self._plane = plane
        self._namespace = namespace
        self._admin = plane.api
        self._api = Api(plane.url, self._token(), plane.ca)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="device-plugin")
        self._thread.start()

    def stop(self) -> None:
        """Stop, and wait until it has."""
        self._stopping.set()
        self._thread.join()
        self._api.close()

    def _token(self) -> str:
        namespace, name = DEVICE_PLUGIN
        account = {"name": name, "namespace": namespace}
        self._admin.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
        rules = [{"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": ["get", "list", "patch"]}]
        _grant(self._admin, {"name": name}, rules, account)
        return self._plane.token_of(namespace, name)

    def _run(self) -> None:
        while not self._stopping.wait(0.1):
            try:
                for pod in self._api.list("Pod", self._namespace):
                    annotations = pod["metadata"].get("annotations", {})
                    if pod["spec"].get("nodeName") and annotations.get("hami.io/bind-phase") == "allocating":
                        self._finish(pod)
            except Refused:
                continue  # changed meanwhile; the next round sees it

    def _finish(self, pod: Object) -> None:
        node: Object = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": pod["spec"]["nodeName"]}}
        locks = dict.fromkeys(("hami.io/mutex.lock", "cambricon.com/dsmlu.lock"))
        self._api.patch(node, {"metadata": {"annotations": locks}})
        self._api.patch(
            {**pod, "apiVersion": "v1", "kind": "Pod"}, {"metadata": {"annotations": {"hami.io/bind-phase": "success"}}}
        )
