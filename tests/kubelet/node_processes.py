"""`hami node-agent` and `hami monitor` in the sandbox, as the chart's DaemonSets would run them."""

from __future__ import annotations

import json
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from tests.cluster.api import Object
from tests.cluster.install import NAMESPACE, Installation
from tests.cluster.processes import Service, free_port
from tests.kubelet.real_node import HANDLER, Driver, RealNode

from hami_core.packaged import packaged
from hami_core.registry import load_registry

HAMI = Path(sys.executable).with_name("hami")
AGENT = "hami-node-agent"
MONITOR = "hami-monitor"
FILES = "/var/lib/hami"  # in a folder that the sandbox replaces
STATE = "/var/lib/simulated-driver"
REFRESH_S = 4  # each look starts a Python: not too often beside everything else that runs here
VALUES: dict[str, Any] = {
    "devicePlugin": {
        "libPath": FILES,
        "runtimeClassName": HANDLER,
        "createRuntimeClass": True,
        "extraArgs": [f"--refresh={REFRESH_S}s"],
    }
}
REGISTERED = "registered with kubelet"


@attrs.frozen(kw_only=True)
class Simulation:
    """A simulated machine: its name, and what a vendor's runtime gives containers of its driver."""

    machine: str
    package: str
    triggers: tuple[str, ...]

    @property
    def vendor(self) -> str:
        """The vendor, as programs in the containers call it."""
        return self.package.removeprefix("hami_")

    def environ(self) -> dict[str, str]:
        """What its driver is told: every process on the node sees the same cards."""
        return {"HAMI_FAKE_STATE": f"{STATE}/{self.machine}"}

    def driver(self) -> Driver:
        """Its driver, in containers."""
        registry = load_registry()
        machine = registry.machine_files[self.machine]
        (folder,) = {
            loaded.family.isolation.simulator_dir
            for loaded in registry.families.values()
            if loaded.family.vendor == self.vendor and loaded.family.isolation is not None
        }
        assert folder is not None
        doubles = sorted(packaged(self.package, folder).iterdir())
        libraries = [(str(file), f"/usr/lib/{_multiarch()}/{file.name}", False) for file in doubles]
        return Driver(
            triggers=self.triggers,
            env={**self.environ(), "HAMI_FAKE_MACHINE": "/run/machine.json"},
            mounts=(*libraries, (str(machine), "/run/machine.json", False), (STATE, STATE, True)),
        )


NVIDIA = Simulation(machine="a40x2", package="hami_nvidia", triggers=("NVIDIA_VISIBLE_DEVICES",))


class NodeProcesses:
    """The two programs, their rights those that the chart gives them."""

    def __init__(self, node: RealNode, installation: Installation, simulation: Simulation = NVIDIA) -> None:
        self.node = node
        self._installation = installation
        self._simulation = simulation
        node.sandbox.inside(STATE).mkdir(exist_ok=True)
        node.set_driver(simulation.driver())
        token = node.plane.token_of(NAMESPACE, AGENT)
        self._kubeconfig = node.plane.kubeconfig(AGENT, token)
        self._places = {
            f"--{name}-file": str(_written(node, installation, config_map, key))
            for name, config_map, key in (
                ("device-config", "hami-scheduler-device", "device-config.yaml"),
                ("node-config", AGENT, "config.json"),
            )
        }
        self.agent = self._agent()

    def start_agent(
        self, *more: str, program: Sequence[object] = (HAMI, "node-agent"), env: Mapping[str, str] | None = None
    ) -> None:
        """Start the agent, with `more` arguments, and wait until kubelet knows it."""
        self.launch_agent(*more, program=program, env=env)
        self.agent.wait_ready(self._is_registered)

    def launch_agent(
        self, *more: str, program: Sequence[object] = (HAMI, "node-agent"), env: Mapping[str, str] | None = None
    ) -> None:
        """Start the agent; when it works is for the caller to see."""
        self.agent = self._agent(*more, program=program, env=env)
        self._before = self.registrations()
        self.agent.start()

    def monitor(self) -> tuple[Service, str]:
        """`hami monitor`, not started, and where its metrics are. It runs outside: it has the host's PID namespace."""
        port = free_port()
        manifest = self._installation.find("DaemonSet", MONITOR)
        assert manifest["spec"]["template"]["spec"]["hostPID"] is True
        places = {"--metrics-bind-address": f"127.0.0.1:{port}", "--hook-path": str(self.files())}
        arguments = [HAMI, "monitor", f"--simulate={self._simulation.machine}", *_placed(manifest, places)]
        env = {
            "NODE_NAME": self.node.name,
            "HAMI_FAKE_STATE": str(self.node.sandbox.inside(STATE) / self._simulation.machine),
        }
        service = self.node.plane.service(MONITOR, *_confined(manifest), *arguments, env=env)
        return service, f"http://127.0.0.1:{port}/metrics"

    def files(self) -> Path:
        """Where containers' folders and libraries are, seen from outside."""
        return self.node.sandbox.inside(FILES)

    def container_folders(self) -> set[str]:
        """The folders that containers have now, as ``uid_container``."""
        return {entry.name for entry in (self.files() / "containers").glob("*")}

    def specs(self) -> list[Object]:
        """The CDI specs that there are now."""
        return [json.loads(file.read_text()) for file in self.node.sandbox.inside("/run/cdi").glob("hami*.json")]

    def _agent(
        self, *more: str, program: Sequence[object] = (HAMI, "node-agent"), env: Mapping[str, str] | None = None
    ) -> Service:
        manifest = self._installation.find("DaemonSet", AGENT)
        arguments = _placed(manifest, self._places)
        arguments += [f"--kubeconfig={self._kubeconfig}", f"--simulate={self._simulation.machine}", *more]
        told = {"NODE_NAME": self.node.name, **self._simulation.environ(), **(env or {})}
        return self.node.sandbox.service(AGENT, *_confined(manifest), *program, *arguments, env=told)

    def registrations(self) -> int:
        """How often agents registered with kubelet so far."""
        return self.agent.log.read_text().count(REGISTERED) if self.agent.log.exists() else 0

    def _is_registered(self) -> bool:
        return self.registrations() > self._before


def _written(node: RealNode, installation: Installation, config_map: str, key: str) -> Path:
    """A key of the chart's ConfigMap as a file."""
    file = node.folder / key
    file.write_text(installation.find("ConfigMap", config_map)["data"][key])
    return file


def _confined(manifest: Object) -> tuple[str, ...]:
    """What gives a program the rights of the only container of a DaemonSet, and no more."""
    container = manifest["spec"]["template"]["spec"]["containers"][0]
    assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]
    kept = "".join(f",+{name.lower()}" for name in container["securityContext"]["capabilities"].get("add", []))
    return ("setpriv", f"--bounding-set=-all{kept}", "--inh-caps=-all", "--no-new-privs", "--")


def _placed(manifest: Object, places: Mapping[str, str]) -> list[str]:
    """The arguments of a DaemonSet's container; only places differ."""
    container = manifest["spec"]["template"]["spec"]["containers"][0]
    assert container["command"][0] == "hami"
    flags = ((argument, argument.partition("=")[0]) for argument in container["args"])
    return [f"{flag}={places[flag]}" if flag in places else argument for argument, flag in flags]


def _multiarch() -> str:
    return str(sysconfig.get_config_var("MULTIARCH"))
