"""A node: a fake kubelet, a fake API server, a simulated machine, and the agent between them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import yaml
from tests.kube.fake_api import FakeApi, fake_api, until

import hami_nvidia
from hami_core.fit import Fleet
from hami_core.inventory import read_inventory
from hami_core.kube.api import ApiServer
from hami_core.node.agent import NodeAgent
from hami_core.node.cdi import spec_file
from hami_core.node.health import HealthRules
from hami_core.node.ids import CDI_KIND
from hami_core.node.settings import BindingMode, NodePaths, NodeSettings
from hami_core.objects import read_node, read_pod
from hami_core.packaged import packaged
from hami_core.placement import bind_annotations, placement_annotations
from hami_core.registry import Registry, load_registry
from hami_core.requests import pod_request
from hami_core.score import builtin
from hami_core.testing.kubelet import Admitted, FakeKubelet

ROOT = Path(__file__).resolve().parents[2]
GPU = "nvidia.com/gpu"
NODE = "/api/v1/nodes/n1"
HAMI = "import sys; from hami_core.cli import main; main()"
Object = dict[str, Any]


def pod_at(name: str) -> str:
    return f"/api/v1/namespaces/team/pods/{name}"


def container(name: str, memory_mib: int = 6000, gpus: int = 1) -> Object:
    limits = {GPU: str(gpus), "nvidia.com/gpumem": str(memory_mib)} if gpus else {}
    return {"name": name, "resources": {"limits": limits}}


def kubeconfig(folder: Path, server: str) -> Path:
    """A file by which a process finds the API server."""
    config = {
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": "secret"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return file


@contextlib.asynccontextmanager
async def agent_process(here: World, *options: str) -> AsyncIterator[None]:
    """`hami node-agent` as a process; it must end well when it is told to."""
    paths = here.settings.paths
    agent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HAMI, "node-agent", "--node-name=n1"),
        *(f"--kubeconfig={kubeconfig(here.folder, here.api.host)}", f"--cdi-dir={paths.cdi}"),
        *(f"--plugins-dir={paths.plugins}", f"--pod-resources-socket={paths.pod_resources}"),
        *(f"--files-dir={paths.files}", "--log-format=json", *options),
        env=here.environ,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        await until(lambda: here.kubelet.devices(here.resource), patience_s=120)
        yield
    finally:
        if agent.returncode is None:
            agent.send_signal(signal.SIGTERM)
        _, said = await agent.communicate()
    assert agent.returncode == 0, said.decode()


@attrs.define
class World:
    """What a test holds in its hands."""

    folder: Path
    kubelet: FakeKubelet
    cluster: FakeApi
    api: ApiServer
    registry: Registry
    environ: dict[str, str]
    settings: NodeSettings
    resource: str = GPU
    agent: NodeAgent = attrs.field(init=False)
    work: asyncio.Task[None] | None = None
    clock: Callable[[], float] = time.monotonic

    async def start(self, **changes: Any) -> None:
        """Start an agent, and wait until kubelet has devices of it."""
        settings = attrs.evolve(self.settings, **changes)
        self.agent = NodeAgent(self.api, self.registry, settings, environ=self.environ, clock=self.clock)
        known = len(self.kubelet.registrations)
        self.work = asyncio.create_task(self.agent.run())
        # kubelet may still believe what an agent said that was killed.
        await until(
            lambda: len(self.kubelet.registrations) > known and self.kubelet.devices(self.resource), patience_s=30
        )

    async def kill(self) -> None:
        """End the agent without a word, as kill -9 would: nothing that it might do at its end is waited for."""
        assert self.work is not None
        self.work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.work

    async def place(
        self,
        name: str,
        *containers: Object,
        init: tuple[Object, ...] = (),
        annotations: Mapping[str, str] | None = None,
    ) -> Object:
        """A pod that the scheduler decided on and bound, by what the node says of itself."""
        item: Object = {
            "kind": "Pod",
            "metadata": {
                "namespace": "team",
                "name": name,
                "uid": f"uid-{name}",
                "annotations": dict(annotations or {}),
            },
            "spec": {"containers": list(containers), "initContainers": list(init), "nodeName": "n1"},
            "status": {"phase": "Pending"},
        }
        node = read_inventory(read_node(self.cluster.item(NODE)), self.registry)
        fleet = Fleet(self.registry)
        fleet.upsert_node(node.node, node.devices)
        request = pod_request(read_pod(item), self.registry)
        best = fleet.decide(request).best
        assert best is not None
        devices = {device.uuid: device for device in node.devices}
        now_ns = time.time_ns()
        told = placement_annotations(best.placement, request, self.registry, devices, now_ns=now_ns)
        item["metadata"]["annotations"] = {**(annotations or {}), **told, **bind_annotations(now_ns)}
        return await self.cluster.put(pod_at(name), item)

    async def remove(self, name: str) -> None:
        await self.cluster.delete(pod_at(name))
        self.kubelet.forget("team", name)

    def spec(self, admitted: Admitted) -> Path:
        """The file of the CDI device that a container was promised."""
        (device,) = admitted.response.cdi_devices
        kind, _, name = device.name.partition("=")
        assert kind == CDI_KIND
        return spec_file(self.settings.paths.cdi, name)

    def edits(self, admitted: Admitted) -> Object:
        spec = json.loads(self.spec(admitted).read_text())
        (device,) = spec["devices"]
        edits: Object = device["containerEdits"]
        return edits

    def seen_inside(self, admitted: Admitted) -> list[int]:
        """MiB of each card, as a process sees them that has what the spec says of the container."""
        edits = self.edits(admitted)
        environ = dict(entry.partition("=")[::2] for entry in edits["env"])
        mounts = {mount["containerPath"]: mount["hostPath"] for mount in edits.get("mounts", ())}
        preload = Path(mounts["/etc/ld.so.preload"]).read_text().strip() if mounts else ""
        code = (
            "import os, pynvml as n; n.nvmlInit(); handles = [n.nvmlDeviceGetHandleByUUID(uuid.encode()) "
            "for uuid in os.environ['NVIDIA_VISIBLE_DEVICES'].split(',')]; "
            "print([n.nvmlDeviceGetMemoryInfo(h).total >> 20 for h in handles])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**self.environ, **environ, "LD_PRELOAD": preload},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        seen: list[int] = json.loads(done.stdout)
        return seen


@contextlib.asynccontextmanager
async def world(
    folder: Path,
    machine: str = "a40x2",
    *,
    plugin: ModuleType = hami_nvidia,
    doubles: str = "lib/fake",
    resource: str = GPU,
    **settings: Any,
) -> AsyncIterator[World]:
    """A node of one vendor's cards, without an agent yet."""
    native = {"HAMI_NATIVE_DIR": os.environ["HAMI_NATIVE_DIR"]}
    kubelet = FakeKubelet(folder / "k")
    paths = NodePaths(
        plugins=kubelet.plugins, pod_resources=kubelet.pod_resources, cdi=folder / "cdi", files=folder / "hami"
    )
    environ = {
        **os.environ,
        **native,
        "LD_LIBRARY_PATH": str(packaged(plugin.__name__, doubles, native)),
        "HAMI_FAKE_MACHINE": str(packaged(plugin.__name__, f"machines/{machine}.json")),
        "HAMI_FAKE_STATE": str(folder / "driver-state"),
    }
    async with fake_api() as (cluster, api):
        await cluster.put(NODE, {"kind": "Node", "metadata": {"name": "n1", "annotations": {}}})
        await kubelet.start()
        made = World(
            folder=folder,
            kubelet=kubelet,
            cluster=cluster,
            api=api,
            registry=load_registry(plugins=[plugin, builtin]),
            environ=environ,
            resource=resource,
            settings=NodeSettings(
                node="n1",
                paths=paths,
                refresh_s=settings.pop("refresh_s", 3600.0),
                health=HealthRules(recovery_s=0),
                **settings,
            ),
        )
        try:
            yield made
        finally:
            if made.work is not None:
                await made.kill()
            await kubelet.stop()


__all__ = ["GPU", "NODE", "BindingMode", "World", "agent_process", "container", "pod_at", "world"]
