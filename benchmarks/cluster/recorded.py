"""An API server that only says what it is told: nodes with eight cards, and pods that hold a half of each.

``python -m benchmarks.cluster.recorded --port P --nodes 5000 --pods 50000`` serves lists in pages, watches in which
nothing happens but bookmarks, and accepts bindings and events. Filling etcd with as many pods takes too long. Pods and
nodes are as large as real ones (some 7 kB a pod); the workload is that of the design notes' figures for HAMi.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

from aiohttp import web

CARDS = 8
CARD_MIB = 81920
PODS_PER_NODE = 20
CORES = 10
BOOKMARK_EVERY_S = 20.0

Object = dict[str, Any]


def uuid(node: int, card: int) -> str:
    return f"GPU-{node:08x}-0000-4000-8000-{card:012x}"


def node_name(node: int) -> str:
    return f"gpu-node-{node:05d}"


def node(index: int) -> Object:
    """A node as kubelets report them: labels, images, conditions and what managedFields add."""
    cards = [
        {"id": uuid(index, card), "index": card, "count": 10, "devmem": CARD_MIB, "devcore": 100}
        | {"type": "NVIDIA-NVIDIA A100-SXM4-80GB", "numa": card // 4, "mode": "hami-core", "health": True}
        for card in range(CARDS)
    ]
    capacity = {"cpu": "128", "memory": "1056Gi", "pods": "250", "nvidia.com/gpu": "80"}
    return {
        "metadata": {
            "name": node_name(index),
            "uid": f"node-{index:06d}",
            "resourceVersion": "1",
            "labels": {f"example.com/label-{number:02d}": "some-value" for number in range(28)},
            "annotations": {"hami.io/node-nvidia-register": json.dumps(cards), "hami.io/binding": "late"},
            "managedFields": managed(20),
        },
        "spec": {"podCIDR": "10.0.0.0/24"},
        "status": {
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ready"}],
            "images": [
                {"names": [f"registry.example/team/image-{number:03d}@sha256:{'0' * 64}"], "sizeBytes": 10**9}
                for number in range(40)
            ],
        },
    }


def pod(index: int, nodes: int) -> Object:
    """The pod that is number `index // nodes` of its node, of 20: two shares of two cards."""
    at, place = index % nodes, index // nodes % PODS_PER_NODE
    memory_mib = 4096 + 512 * ((7 * at + 3 * place) % 16)
    shares = "".join(f"{uuid(at, (2 * place + n) % CARDS)},NVIDIA,{memory_mib},{CORES}:" for n in (0, 1))
    limits = {"nvidia.com/gpu": "2", "nvidia.com/gpumem": str(memory_mib), "nvidia.com/gpucores": str(CORES)}
    name = f"pod-{index:06d}"
    return {
        "metadata": {
            "name": name,
            "namespace": "team",
            "uid": f"uid-{name}",
            "resourceVersion": "1",
            "labels": {"app": "trainer", "hami.io/vgpu-node": node_name(at)},
            "annotations": {
                "hami.io/vgpu-node": node_name(at),
                "hami.io/vgpu-time": "1790000000",
                "hami.io/bind-time": "1790000000",
                "hami.io/bind-phase": "success",
                "hami.io/vgpu-devices-allocated": f"{shares};",
                "hami.io/vgpu-devices-to-allocate": f"{shares};",
            },
            "managedFields": managed(40),
        },
        "spec": {
            "nodeName": node_name(at),
            "schedulerName": "hami-scheduler",
            "containers": [
                {
                    "name": "main",
                    "image": "registry.example/team/trainer:1",
                    "env": [{"name": f"SETTING_{number}", "value": "some value"} for number in range(13)],
                    "resources": {"limits": limits, "requests": limits},
                    "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10},
                    "volumeMounts": [{"name": f"volume-{number}", "mountPath": f"/data/{number}"} for number in "abc"],
                }
            ],
            "volumes": [{"name": f"volume-{number}", "emptyDir": {}} for number in "abc"],
        },
        "status": {
            "phase": "Running",
            "conditions": [{"type": name, "status": "True"} for name in ("Ready", "PodScheduled", "Initialized")],
            "containerStatuses": [{"name": "main", "ready": True, "state": {"running": {"startedAt": "2026-01-01"}}}],
        },
    }


def managed(fields: int) -> list[Object]:
    return [
        {
            "manager": "kubelet",
            "operation": "Update",
            "fieldsV1": {"f:spec": {f"f:field-{number:03d}": {".": {}, "f:value": {}} for number in range(fields)}},
        }
        for _ in range(2)
    ]


class Recorded:
    """The server; pages are made as they are asked for."""

    def __init__(self, nodes: int, pods: int) -> None:
        self._nodes = nodes
        self._pods = pods
        self._items: dict[str, list[bytes]] = {
            "nodes": [json.dumps(node(index)).encode() for index in range(nodes)],
            "pods": [json.dumps(pod(index, nodes)).encode() for index in range(pods)],
            "resourcequotas": [],
        }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer any request."""
        if request.method == "POST":
            if request.path.endswith("/selfsubjectreviews"):
                return web.json_response({"status": {"userInfo": {"username": "scheduler"}}}, status=201)
            return web.json_response({"status": "Success"}, status=201)
        if request.path == "/version":
            return web.json_response({"major": "1", "minor": "37"})
        kind = request.path.rpartition("/")[2]
        if kind not in self._items:
            return web.json_response({"message": "there is no such thing here"}, status=404)
        return await self._watch(request) if "watch" in request.query else self._list(request, kind)

    def _list(self, request: web.Request, kind: str) -> web.Response:
        items = self._items[kind]
        start = int(request.query.get("continue", "0"))
        end = min(len(items), start + int(request.query.get("limit", len(items) or 1)))
        more = str(end) if end < len(items) else ""
        head = json.dumps({"resourceVersion": "1", "continue": more}).encode()
        body = b'{"metadata":' + head + b',"items":[' + b",".join(items[start:end]) + b"]}"
        return web.Response(body=body, content_type="application/json")

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await asyncio.sleep(BOOKMARK_EVERY_S)
            await response.write(b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"1"}}}\n')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--pods", type=int, default=50_000)
    asked = parser.parse_args()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", Recorded(asked.nodes, asked.pods).handle)
    web.run_app(app, host="127.0.0.1", port=asked.port, print=None)


if __name__ == "__main__":
    main()
