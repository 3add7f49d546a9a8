"""The chart as an administrator installs it, run by hand: no node here starts containers."""

from __future__ import annotations

import base64
import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml
from tests.cluster.api import Object, documents
from tests.cluster.control_plane import ControlPlane
from tests.cluster.processes import Service, free_port

CHART = Path(__file__).parents[2] / "charts" / "hami"
NAMESPACE = "hami-system"
RELEASE = "hami"
SCHEDULER = "hami-scheduler"
SCHEDULER_USER = f"system:serviceaccount:{NAMESPACE}:{SCHEDULER}"
# Deleting it is as if the time of a leader that died had run out.
LEASE: Object = {
    "apiVersion": "coordination.k8s.io/v1",
    "kind": "Lease",
    "metadata": {"name": "hami-scheduler-extender", "namespace": NAMESPACE},
}
# HAMi's device plugin, as far as the scheduler knows it: who may finish what a bind began.
DEVICE_PLUGIN = ("kube-system", "hami-device-plugin")


def render(
    helm: Path, values: Mapping[str, Any], *, release: str = RELEASE, namespace: str = NAMESPACE
) -> list[Object]:
    """The chart's manifests.

    Raises:
        CalledProcessError: helm refuses the values; its standard error says why.
    """
    command = [str(helm), "template", release, str(CHART), "--namespace", namespace, "--values", "-"]
    done = subprocess.run(command, input=yaml.safe_dump(dict(values)), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
    return list(documents(done.stdout))


class Installation:
    """What the chart says about the processes that a cluster would run, and those that run here in their place."""

    def __init__(self, plane: ControlPlane, helm: Path, values: Mapping[str, Any], port: int) -> None:
        self.plane = plane
        self.manifests = render(helm, values)
        self.port = port
        self._helm = helm
        self._values = values
        for manifest in self.manifests:
            plane.api.apply(manifest)
        self.scheduler_token = plane.token_of(NAMESPACE, SCHEDULER)
        self._cert, self._key = self.renew_certificate()
        self._http = httpx.Client(verify=False, trust_env=False, timeout=5)
        self.scheduler = self.replica("hami-scheduler", port)

    def close(self) -> None:
        """Close the connections that `ready` looked through."""
        self._http.close()

    def renew_certificate(self) -> tuple[Path, Path]:
        """Put a new certificate of the same CA in the place of the old: its file, and its key's."""
        return self.plane.certificate("scheduler", "127.0.0.1", f"{SCHEDULER}.{NAMESPACE}.svc")

    def find(self, kind: str, name: str) -> Object:
        """A manifest of the chart."""
        return next(m for m in self.manifests if m["kind"] == kind and m["metadata"]["name"] == name)

    def replica(self, name: str, port: int) -> Service:
        """`hami scheduler` with the arguments of the chart's Deployment; only places differ."""
        container = self.find("Deployment", SCHEDULER)["spec"]["template"]["spec"]["containers"][0]
        fields = {"metadata.name": name, "metadata.namespace": NAMESPACE}
        env = {entry["name"]: fields[entry["valueFrom"]["fieldRef"]["fieldPath"]] for entry in container["env"]}
        config = self.plane.folder / "device-config.yaml"
        config.write_text(self.find("ConfigMap", f"{SCHEDULER}-device")["data"]["device-config.yaml"])
        places = {
            "--http_bind": f"127.0.0.1:{port}",
            "--cert_file": str(self._cert),
            "--key_file": str(self._key),
            "--device-config-file": str(config),
            "--metrics-bind-address": f"127.0.0.1:{free_port()}",
        }
        arguments = []
        for argument in container["args"]:
            flag = argument.partition("=")[0]
            arguments.append(f"{flag}={places[flag]}" if flag in places else argument)
        kubeconfig = self.plane.kubeconfig("hami-scheduler", self.scheduler_token)
        hami = Path(sys.executable).with_name("hami")
        assert container["command"] == ["hami", "scheduler"]
        return self.plane.service(name, hami, "scheduler", f"--kubeconfig={kubeconfig}", *arguments, env=env)

    def pod_of(self, replica: str) -> Object:
        """The pod that a replica believes to run in, with the labels that the Deployment would give it."""
        template = self.find("Deployment", SCHEDULER)["spec"]["template"]
        metadata = {"name": replica, "namespace": NAMESPACE, "labels": template["metadata"]["labels"]}
        spec = {"schedulerName": "nobody", "containers": [{"name": "scheduler", "image": "none"}]}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}

    def start_scheduler(self) -> None:
        """Start `hami scheduler`, and wait until it decides."""
        self.scheduler.start()
        self.scheduler.wait_ready(self.ready(self.port))

    def ready(self, port: int) -> Callable[[], bool]:
        """Looks whether the process on a port says that it is ready."""
        return lambda: self._http.get(f"https://127.0.0.1:{port}/readyz").is_success

    @contextlib.contextmanager
    def changed(self, **scheduler: Any) -> Iterator[None]:
        """Both processes as they are with other values under `scheduler`, for a while."""
        before, process = self.manifests, self.scheduler
        self.manifests = render(self._helm, {**self._values, "scheduler": {**self._values["scheduler"], **scheduler}})
        self.plane.services["kube-scheduler"].stop()
        process.stop()
        self.scheduler = self.replica(process.name, self.port)
        try:
            self.start_scheduler()
            self.start_kube_scheduler()
            yield
        finally:
            self.plane.services["kube-scheduler"].stop()
            self.scheduler.stop()
            self.manifests, self.scheduler = before, process
            self.plane.services[process.name] = process
            self.start_scheduler()
            self.start_kube_scheduler()

    def explained(self, namespace: str, name: str) -> Object:
        """What `hami scheduler` says about a pod; empty where it knows nothing."""
        answer = self._http.get(f"https://127.0.0.1:{self.port}/explain/{namespace}/{name}")
        found: Object = answer.json() if answer.is_success else {}
        return found

    def start_kube_scheduler(self) -> None:
        """Start kube-scheduler under the chart's configuration; our extender is found on loopback."""
        name = "hami-kube-scheduler"
        config = yaml.safe_load(self.find("ConfigMap", name)["data"]["config.yaml"])
        extender = config["extenders"][0]
        extender["urlPrefix"] = f"https://127.0.0.1:{self.port}"
        extender["tlsConfig"]["caFile"] = str(self.plane.ca)
        self.plane.start_scheduler(config, self.plane.token_of(NAMESPACE, name))


def install(plane: ControlPlane, helm: Path, values: Mapping[str, Any] | None = None) -> Installation:
    """Apply the chart, with further `values`, and start what it would start on the control plane."""
    port = free_port()
    ca = base64.b64encode(plane.ca.read_bytes()).decode()
    wanted = {
        **(values or {}),
        "scheduler": {
            "replicas": 0,
            "kubeScheduler": {"replicas": 0},
            "certificate": {"existingSecret": "tests", "caBundle": ca},
            "admissionWebhook": {"customURL": {"enabled": True, "host": "127.0.0.1", "port": port}},
            "trustedUsers": ["system:serviceaccount:{}:{}".format(*DEVICE_PLUGIN)],
        },
    }
    plane.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    installation = Installation(plane, helm, wanted, port)
    try:
        installation.start_scheduler()
        installation.start_kube_scheduler()
    except BaseException:
        installation.close()
        raise
    return installation
