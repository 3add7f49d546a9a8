"""The chart: what it renders for several sets of values, what it refuses, and what the real API server says to it."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from tests.cluster.api import Api, Object
from tests.cluster.control_plane import ControlPlane
from tests.cluster.install import CHART, NAMESPACE, render

from hami_core.registry import load_registry
from hami_core.wire.device_config import ConfigSections

CUSTOM_NAMES = {"resourceName": "example.com/gpu", "resourceMem": "example.com/gpumem", "dcuResourceName": "x.io/dcu"}

VALUES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "highly-available": {"scheduler": {"replicas": 3, "kubeScheduler": {"replicas": 2}}},
    "cert-manager": {"scheduler": {"certManager": {"enabled": True}}},
    "own-certificate": {"scheduler": {"certificate": {"existingSecret": "mine", "caBundle": "TUlJ"}}},
    "no-kube-scheduler": {"scheduler": {"kubeScheduler": {"enabled": False}}},
    "no-election": {"scheduler": {"leaderElect": False}},
    "scheduler-chooses": {"scheduler": {"nodeChoice": "scheduler"}},
    "own-names": CUSTOM_NAMES,
    "no-node-side": {"devicePlugin": {"enabled": False}},
    "no-monitor": {"devicePlugin": {"monitor": {"enabled": False}}},
    "whole-node-side": {
        "legacyMetrics": True,
        "devicePlugin": {
            "runtimeClassName": "nvidia",
            "createRuntimeClass": True,
            "binding": "allocating",
            "nodeConfiguration": {"externalConfigName": "mine"},
            "isolateWholeDevices": True,
            "allowIsolationOptOut": True,
            "taint": "any",
            "evictAfter": "10m",
            "vendors": ["nvidia", "hygon"],
            "enableNumaTopology": True,
            "disablecorelimit": "true",
            "tolerations": [{"operator": "Exists"}],
            "affinity": {"podAffinity": {}},
            "securityContext": {"privileged": True},
            "libPath": "/var/lib/hami",
            "extraArgs": ["--refresh=10s"],
            "service": {"type": "NodePort", "labels": {"a": "b"}, "annotations": {"c": "d"}},
        },
    },
    "mig-administration": {"devicePlugin": {"migAdministration": True}},
    "one-vendor": {"devices": {name: {"enabled": False} for name in ("cambricon", "hygon", "ascend", "iluvatar")}},
    "everything-else": {
        "global": {"imageRegistry": "registry.example.com", "labels": {"team": "a"}, "annotations": {"note": "b"}},
        "fullnameOverride": "shares",
        "namespaceOverride": "default",
        "prometheus": {"enabled": True},
        "networkPolicy": {"metricsFrom": [{"namespaceSelector": {}}]},
        "scheduler": {
            "nodeLabelSelector": {"gpu": "on"},
            "forceOverwriteDefaultScheduler": False,
            "tolerations": [{"operator": "Exists"}],
            "podAnnotations": {"a": "b"},
            "admissionWebhook": {"failurePolicy": "Ignore", "whitelistNamespaces": ["kube-system"]},
        },
    },
}
FOREIGN = {"Certificate", "Issuer", "ServiceMonitor"}  # kinds that other projects define


def _find(manifests: list[Object], kind: str, name: str) -> Object:
    return next(item for item in manifests if item["kind"] == kind and item["metadata"]["name"] == name)


def _pods(manifests: list[Object]) -> list[Object]:
    return [item["spec"]["template"]["spec"] for item in manifests if item["kind"] == "Deployment"]


def test_helm_lint_finds_nothing_to_complain_about(helm: Path) -> None:
    done = subprocess.run([helm, "lint", "--strict", CHART], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", VALUES)
def test_the_api_server_takes_every_manifest(helm: Path, api: Api, name: str) -> None:
    manifests = render(helm, VALUES[name])
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})

    for manifest in manifests:
        if manifest["kind"] not in FOREIGN:
            api.apply(manifest, dry_run=True)


@pytest.mark.parametrize("name", VALUES)
def test_every_container_runs_without_rights_it_does_not_need(helm: Path, name: str) -> None:
    pods = _pods(render(helm, VALUES[name]))

    assert pods
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


@pytest.mark.parametrize("name", ["defaults", "own-names"])
def test_webhook_extender_and_device_configuration_speak_of_the_same_resources(helm: Path, name: str) -> None:
    manifests = render(helm, VALUES[name])
    text = _find(manifests, "ConfigMap", "hami-scheduler-device")["data"]["device-config.yaml"]
    registry = load_registry(ConfigSections.parse(text))
    known = {resource for loaded in registry.families.values() for resource in loaded.family.resources.names}

    config = yaml.safe_load(_find(manifests, "ConfigMap", "hami-kube-scheduler")["data"]["config.yaml"])
    managed = {entry["name"] for entry in config["extenders"][0]["managedResources"]}
    conditions = _find(manifests, "MutatingWebhookConfiguration", "hami-scheduler")["webhooks"][0]["matchConditions"]
    asks = next(condition["expression"] for condition in conditions if condition["name"] == "asks-for-devices")

    assert known == managed
    assert all(f'"{resource}"' in asks for resource in known)


BAD_VALUES = [
    ({"scheduler": {"replicas": "many"}}, "scheduler/replicas"),
    ({"scheduler": {"admissionWebhook": {"failurePolicy": "fail"}}}, "failurePolicy"),
    ({"scheduler": {"defaultSchedulerPolicy": {"nodeSchedulerPolicy": "random"}}}, "nodeSchedulerPolicy"),
    ({"scheduler": {"nodeLockExpire": "soon"}}, "nodeLockExpire"),
    ({"devicePlugin": {"deviceSplitCount": 0}}, "deviceSplitCount"),
    ({"devicePlugin": {"evictAfter": "soon"}}, "devicePlugin/evictAfter"),
    ({"devicePlugin": {"vendors": ["amd"]}}, "devicePlugin/vendors"),
    ({"devicePlugin": {"vendors": ["hygon"]}, "devices": {"hygon": {"enabled": False}}}, "devicePlugin.vendors: name"),
    ({"devicePlugin": {"binding": "early"}}, "devicePlugin/binding"),
    ({"devicePlugin": {"libPath": "hami"}}, "devicePlugin/libPath"),
    ({"devicePlugin": {"monitor": {"metricsBindAddress": "9394"}}}, "metricsBindAddress"),
    ({"resourceName": "gpu"}, "resourceName"),
    ({"scheduler": {"certificate": {"existingSecret": "mine"}}}, "caBundle"),
    (
        {
            "devices": {
                name: {"enabled": False} for name in ("nvidia", "cambricon", "hygon", "ascend", "iluvatar", "mthreads")
            }
        },
        "enable at least one vendor",
    ),
]


@pytest.mark.parametrize(("values", "named"), BAD_VALUES, ids=[named for _, named in BAD_VALUES])
def test_values_that_cannot_work_are_refused_by_name(helm: Path, values: dict[str, Any], named: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        render(helm, values)

    assert named in refused.value.stderr


def test_more_than_one_replica_gets_a_disruption_budget_and_one_does_not(helm: Path) -> None:
    budgets = [
        [item["metadata"]["name"] for item in render(helm, VALUES[name]) if item["kind"] == "PodDisruptionBudget"]
        for name in ("defaults", "highly-available")
    ]

    assert budgets == [[], ["hami-kube-scheduler", "hami-scheduler"]]


def test_an_upgrade_keeps_the_certificate_until_it_is_told_to_rotate_it(
    helm: Path, control_plane: ControlPlane, tmp_path: Path
) -> None:
    values = tmp_path / "values.yaml"
    # Nobody answers behind this release's service: no namespace may be its.
    nowhere = {"admissionWebhook": {"namespaceSelector": {"matchLabels": {"no": "namespace"}}}}
    values.write_text(yaml.safe_dump({"scheduler": {"replicas": 0, "kubeScheduler": {"replicas": 0}, **nowhere}}))
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "second-hami-scheduler-tls", "namespace": "second"},
    }

    def run(*arguments: str) -> None:
        command = [helm, *arguments, "--namespace=second", f"--kubeconfig={control_plane.admin_kubeconfig}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={"HOME": str(tmp_path)})
        assert done.returncode == 0, done.stdout + done.stderr

    def made() -> dict[str, str]:
        found = control_plane.api.get(secret)
        assert found is not None
        data: dict[str, str] = found["data"]
        return data

    chart = ["second", str(CHART), f"--values={values}"]
    run("install", *chart, "--create-namespace")
    first = made()
    run("upgrade", *chart)
    assert made() == first
    run("upgrade", *chart, "--set=scheduler.certificate.rotate=true")
    assert made()["tls.crt"] != first["tls.crt"]
    run("uninstall", "second")
    assert control_plane.api.get(secret) is None

    certificate = x509.load_pem_x509_certificate(base64.b64decode(first["tls.crt"]))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    for service in ("second-hami-scheduler", "second-hami-scheduler-extender"):
        assert f"{service}.second.svc" in names.get_values_for_type(x509.DNSName)
