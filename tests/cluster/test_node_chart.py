"""The chart's node side: what its pods may do on the node and at the API server, and how they fit the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from tests.cluster.api import Api, Object, Refused
from tests.cluster.control_plane import ControlPlane
from tests.cluster.install import NAMESPACE, render

from hami_core.cli.monitor import monitor
from hami_core.cli.node_agent import node_agent
from hami_core.registry import load_registry
from hami_core.remote import places

NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "of-agent"}}
ROLES = {"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}


def _daemon(helm: Path, name: str, values: dict[str, Any] | None = None) -> Object:
    """The pod of a DaemonSet."""
    manifests = render(helm, values or {})
    found = next(item for item in manifests if item["kind"] == "DaemonSet" and item["metadata"]["name"] == name)
    pod: Object = found["spec"]["template"]["spec"]
    return pod


def _container(pod: Object) -> Object:
    (container,) = pod["containers"]
    made: Object = container
    return made


@pytest.mark.parametrize(("name", "added"), [("hami-node-agent", []), ("hami-monitor", ["SYS_PTRACE"])])
def test_the_nodes_pods_are_root_without_roots_powers(helm: Path, name: str, added: list[str]) -> None:
    pod = _daemon(helm, name)
    security = _container(pod)["securityContext"]

    assert pod["securityContext"]["runAsUser"] == 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert security["allowPrivilegeEscalation"] is False
    assert security["readOnlyRootFilesystem"] is True
    assert security["capabilities"]["drop"] == ["ALL"]
    assert security["capabilities"].get("add", []) == added
    assert "hostNetwork" not in pod


def test_only_an_agent_that_may_cut_cards_has_the_driver_administrators_power(helm: Path) -> None:
    plain = _container(_daemon(helm, "hami-node-agent"))
    cutting = _container(_daemon(helm, "hami-node-agent", {"devicePlugin": {"migAdministration": True}}))
    monitor = _container(_daemon(helm, "hami-monitor", {"devicePlugin": {"migAdministration": True}}))

    assert cutting["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["SYS_ADMIN"]}
    assert cutting["securityContext"]["readOnlyRootFilesystem"] is True
    more = [entry for entry in cutting["env"] if entry not in plain["env"]]
    assert more == [{"name": "NVIDIA_MIG_CONFIG_DEVICES", "value": "all"}]
    assert monitor["securityContext"]["capabilities"]["add"] == ["SYS_PTRACE"]


def _vendors(helm: Path, values: dict[str, Any]) -> set[str]:
    arguments = _container(_daemon(helm, "hami-node-agent", values))["args"]
    return {each.removeprefix("--vendor=") for each in arguments if each.startswith("--vendor=")}


def test_the_agents_serve_the_enabled_vendors_but_those_that_have_plugins_of_their_own(helm: Path) -> None:
    without = {"devices": {"hygon": {"enabled": False}}}
    assert _vendors(helm, {}) == {"nvidia", "mlu", "dcu", "ascend", "iluvatar", "mthreads"}
    assert _vendors(helm, {}) <= set(load_registry().vendors)
    assert _vendors(helm, without) == {"nvidia", "mlu", "ascend", "iluvatar", "mthreads"}
    assert _vendors(helm, {**without, "devicePlugin": {"vendors": ["nvidia", "hygon"]}}) == {"nvidia"}


def test_remote_plugins_are_served_and_found_where_the_programs_look(helm: Path) -> None:
    table = {"tablesConfigName": "tables", "resources": ["borealis.example/npu"]}
    values = {"remotePlugins": {"vendors": ["borealis"], "socketPath": "/srv/sockets", **table}}
    assert _vendors(helm, values) == _vendors(helm, {}) | {"borealis"}
    manifests = render(helm, values)
    pods = {
        item["metadata"]["name"]: item["spec"]["template"]["spec"]
        for item in manifests
        if item["kind"] in {"DaemonSet", "Deployment"}
    }
    for name, sockets in {"hami-node-agent": True, "hami-monitor": True, "hami-scheduler": False}.items():
        volumes = {volume["name"]: volume for volume in pods[name]["volumes"]}
        mounts = {mount["name"]: mount for mount in pods[name]["containers"][0]["volumeMounts"]}
        assert volumes["plugin-tables"]["configMap"] == {"name": "tables"}
        assert Path(mounts["plugin-tables"]["mountPath"]) == places._TABLES
        assert ("plugin-sockets" in volumes) is ("plugin-sockets" in mounts) is sockets
        if sockets:
            assert volumes["plugin-sockets"]["hostPath"]["path"] == "/srv/sockets"
            assert Path(mounts["plugin-sockets"]["mountPath"]) == places._SOCKETS
        assert all(mounts[each]["readOnly"] for each in mounts.keys() & {"plugin-tables", "plugin-sockets"})
    text = json.dumps(manifests)
    assert text.count("borealis.example/npu") == 2, "kube-scheduler and the webhook know the resource"


def test_without_remote_plugins_nothing_of_them_is_mounted(helm: Path) -> None:
    assert "plugin-tables" not in json.dumps(render(helm, {}))
    assert "plugin-sockets" not in json.dumps(render(helm, {}))


def test_only_agents_that_evict_may_evict(helm: Path) -> None:
    def rules(values: dict[str, Any]) -> list[Object]:
        wanted = ("ClusterRole", "hami-node-agent")
        (role,) = (item for item in render(helm, values) if (item["kind"], item["metadata"]["name"]) == wanted)
        found: list[Object] = role["rules"]
        return found

    more = [rule for rule in rules({"devicePlugin": {"evictAfter": "10m"}}) if rule not in rules({})]
    assert more == [{"apiGroups": [""], "resources": ["pods/eviction"], "verbs": ["create"]}]


def test_only_the_monitor_sees_the_nodes_processes_and_only_the_agent_has_a_token(helm: Path) -> None:
    agent, monitor = _daemon(helm, "hami-node-agent"), _daemon(helm, "hami-monitor")

    assert "hostPID" not in agent
    assert monitor["hostPID"] is True
    assert monitor["automountServiceAccountToken"] is False
    assert "automountServiceAccountToken" not in agent


def test_the_agents_pod_has_the_nodes_folders_where_its_arguments_say(helm: Path) -> None:
    places = {
        "pluginPath": "/k/plugins",
        "podResourcesPath": "/k/resources",
        "cdiPath": "/etc/cdi",
        "libPath": "/opt/hami",
    }
    pod = _daemon(helm, "hami-node-agent", {"devicePlugin": places})
    container = _container(pod)
    flags = dict(argument.partition("=")[::2] for argument in container["args"])
    mounted = {mount["name"]: mount for mount in container["volumeMounts"]}
    on_node = {volume["name"]: volume["hostPath"]["path"] for volume in pod["volumes"] if "hostPath" in volume}

    assert flags["--plugins-dir"] == mounted["plugins"]["mountPath"] == on_node["plugins"] == "/k/plugins"
    assert flags["--pod-resources-socket"] == "/k/resources/kubelet.sock"
    assert mounted["pod-resources"]["mountPath"] == on_node["pod-resources"] == "/k/resources"
    assert flags["--cdi-dir"] == mounted["cdi"]["mountPath"] == on_node["cdi"] == "/etc/cdi"
    assert flags["--files-dir"] == mounted["files"]["mountPath"] == on_node["files"] == "/opt/hami"
    assert [name for name in on_node if mounted[name].get("readOnly")] == ["pod-resources"]


@pytest.mark.parametrize(("name", "verb"), [("hami-node-agent", node_agent), ("hami-monitor", monitor)])
def test_the_programs_know_every_argument_that_the_chart_gives_them(helm: Path, name: str, verb: click.Command) -> None:
    values = {
        "legacyMetrics": True,
        "devicePlugin": {
            "isolateWholeDevices": True,
            "allowIsolationOptOut": True,
            "taint": "all",
            "evictAfter": "10m",
        },
    }
    container = _container(_daemon(helm, name, values))

    assert container["command"] == ["hami", verb.name]
    asked = CliRunner().invoke(verb, [*container["args"], "--no-such-option"])

    # The first that is not understood is named.
    assert asked.exit_code == 2
    assert "No such option" in asked.output
    assert "--no-such-option" in asked.output


def test_pods_go_where_the_label_is_and_hami_tolerations_are_taken(helm: Path) -> None:
    values = {"devicePlugin": {"tolerations": [{"operator": "Exists"}], "nvidiaNodeSelector": {"zone": "a"}}}
    for name in ("hami-node-agent", "hami-monitor"):
        pod = _daemon(helm, name, values)
        assert pod["nodeSelector"] == {"gpu": "on", "zone": "a"}
        assert pod["tolerations"] == [{"operator": "Exists"}]
        assert "runtimeClassName" not in pod
        assert _daemon(helm, name, {"devicePlugin": {"runtimeClassName": "nvidia"}})["runtimeClassName"] == "nvidia"


def test_the_scheduler_trusts_the_node_agents_while_the_chart_installs_them(helm: Path) -> None:
    def trusted(values: dict[str, Any]) -> list[str]:
        manifests = render(helm, values)
        scheduler = next(
            item
            for item in manifests
            if item["metadata"]["name"] == "hami-scheduler" and "replicas" in item.get("spec", {})
        )
        arguments = scheduler["spec"]["template"]["spec"]["containers"][0]["args"]
        return [argument for argument in arguments if argument.startswith("--trusted-user=")]

    ours = f"--trusted-user=system:serviceaccount:{NAMESPACE}:hami-node-agent"
    assert ours in trusted({})
    assert ours not in trusted({"devicePlugin": {"enabled": False}})


def test_without_the_node_side_nothing_of_it_is_made(helm: Path) -> None:
    for item in render(helm, {"devicePlugin": {"enabled": False}, "prometheus": {"enabled": True}}):
        assert item["kind"] != "DaemonSet"
        assert item["metadata"]["name"] not in {"hami-node-agent", "hami-monitor"}


def test_the_monitor_is_found_by_prometheus_and_calls_nobody(helm: Path) -> None:
    manifests = render(helm, {"prometheus": {"enabled": True}})
    found = {(item["kind"], item["metadata"]["name"]): item for item in manifests}
    labels = found["DaemonSet", "hami-monitor"]["spec"]["template"]["metadata"]["labels"]
    service, policy = found["Service", "hami-monitor"], found["NetworkPolicy", "hami-monitor"]
    watched = found["ServiceMonitor", "hami-monitor"]["spec"]

    assert service["spec"]["selector"].items() <= labels.items()
    assert watched["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert [port["name"] for port in service["spec"]["ports"]] == [point["port"] for point in watched["endpoints"]]
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in policy["spec"]


def test_the_agent_may_do_what_it_needs_and_nothing_else(control_plane: ControlPlane, helm: Path) -> None:
    api = control_plane.api
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    for manifest in render(helm, {}):
        if manifest["kind"] in ROLES:
            api.apply(manifest)
    agent = Api(control_plane.url, control_plane.token_of(NAMESPACE, "hami-node-agent"), control_plane.ca)
    refused = [
        ("GET", "/api/v1/secrets"),
        ("GET", "/api/v1/configmaps"),
        ("GET", "/api/v1/nodes"),
        ("POST", "/api/v1/namespaces/default/pods"),
        ("POST", "/api/v1/namespaces/default/pods/any/binding"),
        ("DELETE", "/api/v1/namespaces/default/pods/any"),
        ("DELETE", "/api/v1/nodes/any"),
        ("POST", "/api/v1/namespaces/default/serviceaccounts/default/token"),
        ("GET", f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/any"),
    ]
    api.create(NODE)
    try:
        for method, path in refused:
            with pytest.raises(Refused) as err:
                agent.call(method, path, {})
            assert err.value.status == 403, (method, path)
        on_node = {"fieldSelector": "spec.nodeName=of-agent"}
        assert "items" in agent.call("GET", "/api/v1/pods", params=on_node)
        assert agent.patch(NODE, {"metadata": {"annotations": {"hami.io/binding": "late"}}})
    finally:
        api.delete(NODE)
        agent.close()
