"""A node: containerd and kubelet in a sandbox, joined to the control plane."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import attrs
import httpx
import yaml
from tests.cluster.api import Object
from tests.cluster.control_plane import ControlPlane, node_token
from tests.cluster.processes import Service, free_port, wait_for
from tests.kubelet.images import PAUSE, build_images
from tests.kubelet.sandbox import Sandbox

HERE = Path(__file__).parent
SOCKET = "/run/containerd/containerd.sock"
CDI_FOLDER = "/var/run/cdi"

_TOO_SLOW_S = 120.0
_CONTAINERD = """
version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.nri.v1.nri", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.erofs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.blockfile",
]
[grpc]
  address = "{socket}"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{pause}"
[plugins."io.containerd.cri.v1.runtime"]
  enable_cdi = {cdi}
  cdi_spec_dirs = ["{cdi_folder}"]
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["{cni}/bin"]
    conf_dir = "{cni}/net.d"
  [plugins."io.containerd.cri.v1.runtime".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
        BinaryName = "{runc}"
        SystemdCgroup = false
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.{handler}]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.{handler}.options]
        BinaryName = "{vendor_runtime}"
        SystemdCgroup = false
"""
_CNI = """#!/bin/sh
# A network without a network: every pod has the same address, and reaches nobody.
[ "$CNI_COMMAND" = ADD ] && echo '{"cniVersion": "1.0.0", "ips": [{"address": "10.88.0.2/24"}]}'
exit 0
"""
HANDLER = "nvidia"


@attrs.frozen(kw_only=True)
class Tools:
    """Folders of what was built."""

    kubelet: Path
    containerd: Path


@attrs.frozen(kw_only=True)
class Driver:
    """What a vendor's runtime gives to containers that have one of the variables `triggers`."""

    triggers: tuple[str, ...]
    env: dict[str, str]
    mounts: tuple[tuple[str, str, bool], ...]  # outside, inside, writable


class RealNode:
    """containerd and kubelet. `start` before use, `stop` always."""

    def __init__(self, plane: ControlPlane, tools: Tools, folder: Path, *, name: str) -> None:
        self.plane = plane
        self.name = name
        self.folder = folder
        self.sandbox = Sandbox(plane, folder)
        self.manifest: Object = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
        self._tools = tools
        self._runtime = folder / "vendor_runtime.py"
        self._kubelet_port = free_port()
        self.containerd: Service
        self.kubelet: Service

    def start(self) -> None:
        """Start all of it, and wait until pods can come."""
        self.sandbox.start()
        archives = build_images(self.folder / "images")
        self._cni()
        self.set_driver(Driver(triggers=(), env={}, mounts=()))
        shutil.copy(HERE / "vendor_runtime.py", self._runtime)
        self._runtime.chmod(0o755)
        config = self.folder / "containerd.toml"
        config.write_text(self._containerd_config(cdi=True))
        path = {"PATH": f"{self._tools.containerd}:/usr/sbin:/usr/bin:/sbin:/bin"}
        self.containerd = self.sandbox.service(
            "containerd", self._tools.containerd / "containerd", f"--config={config}", env=path
        )
        self.start_containerd()
        for archive in archives:
            self.ctr("images", "import", str(archive))
        self.kubelet = self._kubelet_service()
        self.start_kubelet()
        self._untaint()

    def stop(self) -> None:
        """End everything."""
        for service in (self.kubelet, self.containerd):
            service.kill()
        self.sandbox.stop()

    def start_containerd(self) -> None:
        """Start containerd and wait until it answers."""
        self.containerd.start()
        self.containerd.wait_ready(lambda: self.ctr("version"))

    def start_kubelet(self) -> None:
        """Start kubelet and wait until its node is ready."""
        self.kubelet.start()
        url = f"http://127.0.0.1:{self._healthz_port}/healthz"
        self.kubelet.wait_ready(lambda: httpx.get(url, trust_env=False).is_success, timeout_s=_TOO_SLOW_S)
        self.plane.api.wait(self.manifest, "is ready", _is_ready, timeout_s=_TOO_SLOW_S)

    def use_cdi(self, *, cdi: bool) -> None:
        """Restart containerd with CDI on or off."""
        (self.folder / "containerd.toml").write_text(self._containerd_config(cdi=cdi))
        self.containerd.kill()
        self.start_containerd()

    def set_driver(self, driver: Driver) -> None:
        """What the runtime class of the vendor adds from now on."""
        told = {"runc": _program("runc"), **attrs.asdict(driver)}
        self._runtime.with_suffix(".json").write_text(json.dumps(told))

    def ctr(self, *argv: str) -> str:
        """The output of containerd's own client."""
        command = self.sandbox.command(self._tools.containerd / "ctr", f"--address={SOCKET}", "-n", "k8s.io", *argv)
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def node(self) -> Object:
        """The node as the API server has it."""
        found = self.plane.api.get(self.manifest)
        assert found is not None
        return found

    def log(self, pod: Object, container: str) -> str:
        """What a container wrote, the last start's; empty before it wrote anything."""
        metadata = pod["metadata"]
        uid = self.plane.api.get(pod)["metadata"]["uid"]  # type: ignore[index]
        place = f"/var/log/pods/{metadata['namespace']}_{metadata['name']}_{uid}/{container}"
        files = sorted(self.sandbox.inside(place).glob("*.log"), key=lambda file: int(file.stem.split(".")[0]))
        if not files:
            return ""
        # Each line: when, which stream, whether it is complete, and then what was written.
        return "".join(line.split(" ", 3)[3] for line in files[-1].read_text().splitlines(keepends=True))

    def said(self, pod: Object, container: str) -> Any:
        """The JSON that a container wrote."""
        text = wait_for(f"output of {container}", lambda: self.log(pod, container).strip(), timeout_s=_TOO_SLOW_S)
        return json.loads(text.splitlines()[-1])

    def _containerd_config(self, *, cdi: bool) -> str:
        return _CONTAINERD.format(
            socket=SOCKET,
            pause=PAUSE,
            cdi=str(cdi).lower(),
            cdi_folder=CDI_FOLDER,
            cni=self.folder / "cni",
            runc=_program("runc"),
            handler=HANDLER,
            vendor_runtime=self._runtime,
        )

    def _cni(self) -> None:
        programs, networks = self.folder / "cni" / "bin", self.folder / "cni" / "net.d"
        programs.mkdir(parents=True)
        networks.mkdir()
        for program in ("nothing", "loopback"):  # containerd calls the second for every pod
            (programs / program).write_text(_CNI)
            (programs / program).chmod(0o755)
        network = {"cniVersion": "1.0.0", "name": "nothing", "plugins": [{"type": "nothing"}]}
        (networks / "nothing.conflist").write_text(json.dumps(network))

    def _kubelet_service(self) -> Service:
        self._healthz_port = free_port()
        cert, key = self.plane.certificate(f"kubelet-{self.name}", "127.0.0.1", self.name)
        config = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "containerRuntimeEndpoint": f"unix://{SOCKET}",
            "address": "127.0.0.1",
            "port": self._kubelet_port,
            "healthzPort": self._healthz_port,
            "healthzBindAddress": "127.0.0.1",
            "tlsCertFile": str(cert),
            "tlsPrivateKeyFile": str(key),
            "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True}},
            "authorization": {"mode": "Webhook"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": self.sandbox.cgroup,
            "cgroupsPerQOS": True,
            "enforceNodeAllocatable": ["pods"],
            "failCgroupV1": False,
            "failSwapOn": False,
            "resolvConf": "",
            "makeIPTablesUtilChains": False,
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {"memory.available": "10Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "nodeStatusUpdateFrequency": "2s",
            "syncFrequency": "5s",
            "fileCheckFrequency": "0s",
            "serializeImagePulls": False,
        }
        file = self.folder / "kubelet.yaml"
        file.write_text(yaml.safe_dump(config))
        return self.sandbox.service(
            "kubelet",
            self._tools.kubelet / "kubelet",
            f"--config={file}",
            f"--kubeconfig={self.plane.kubeconfig(f'kubelet-{self.name}', node_token(self.name))}",
            f"--hostname-override={self.name}",
            "--root-dir=/var/lib/kubelet",
            "-v=2",
        )

    def _untaint(self) -> None:
        """Take off what the API server puts on new nodes; a controller that does not run here would do that."""
        self.plane.api.patch(self.manifest, {"spec": {"taints": None}})


def _is_ready(node: Object) -> bool:
    conditions = node.get("status", {}).get("conditions", ())
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _program(name: str) -> str:
    path = shutil.which(name)
    assert path is not None, f"{name} is not installed; run tests/kubelet/build.sh"
    return path
