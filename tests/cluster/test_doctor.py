"""`hami doctor` on the real control plane: what is well is not complained of, what is broken is, and what to do."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

import trustme
from tests.cluster.api import Object
from tests.cluster.install import SCHEDULER_USER
from tests.cluster.world import World, gpu_node

from hami_core.kube.doctor.access import LEASES, NEEDS

Findings = list[dict[str, str]]


def _doctor(world: World, *arguments: str, kubeconfig: Path | None = None) -> tuple[int, Findings]:
    """Its exit code and findings, least of all those that are well."""
    scheduler = world.installation.scheduler
    (metrics,) = (word.partition("=")[2] for word in scheduler.argv if word.startswith("--metrics-bind-address="))
    hami = Path(sys.executable).with_name("hami")
    command = [hami, "doctor", f"--kubeconfig={kubeconfig or world.plane.admin_kubeconfig}", "--output=json"]
    command += [f"--metrics-url=http://{metrics}/metrics", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)["findings"]


def _problems(findings: Findings) -> Findings:
    return [finding for finding in findings if finding["level"] == "problem"]


def test_an_installation_that_works_has_no_problem(world: World) -> None:
    world.add_node(gpu_node("well"))
    world.bound(world.api.create(world.pod("bound", {"nvidia.com/gpu": 1})))

    code, findings = _doctor(world)

    assert _problems(findings) == []
    assert code == 0
    assert not [finding for finding in findings if finding["level"] == "unknown"]
    assert {"webhook", "rights", "kube-scheduler", "nodes"} <= {f["check"] for f in findings if f["level"] == "ok"}


def test_a_pod_that_cannot_fit_a_broken_node_and_a_dead_lock_are_found(world: World) -> None:
    world.add_node(gpu_node("small", memory_mib=4096))
    broken = gpu_node("torn")
    broken["metadata"]["annotations"]["hami.io/node-nvidia-register"] = "[{"
    world.add_node(broken)
    pod = world.api.create(world.pod("too-large", {"nvidia.com/gpu": 1, "nvidia.com/gpumem": 9000}))
    world.unschedulable(pod)

    code, findings = _doctor(world, "--pending=0s")

    assert code == 1
    found = {finding["about"]: finding for finding in _problems(findings)}
    assert "CardInsufficientMemory(small)" in found[f"pod {world.namespace}/too-large"]["what"]
    assert "4096 MiB" in found[f"pod {world.namespace}/too-large"]["do"]
    assert "hami.io/node-nvidia-register" in found["node torn"]["what"]
    assert found["node torn"]["do"]


def test_a_webhook_with_another_ca_is_found_in_the_api_server_s_own_words(world: World) -> None:
    world.add_node(gpu_node("signed"))
    webhook = world.installation.find("MutatingWebhookConfiguration", "hami-scheduler")
    other = base64.b64encode(trustme.CA().cert_pem.bytes()).decode()
    hook: Object = webhook["webhooks"][0]
    changed = {**hook, "clientConfig": {**hook["clientConfig"], "caBundle": other}}
    world.api.apply({**webhook, "webhooks": [changed]})
    try:
        # The API server takes a moment to use what was written.
        findings: Findings = []
        for _ in range(30):
            code, findings = _doctor(world)
            if code:
                break
    finally:
        world.api.apply(webhook)

    (finding,) = _problems(findings)
    assert finding["check"] == "webhook"
    assert "x509" in finding["what"]
    assert "helm upgrade" in finding["do"]


def test_a_right_that_was_taken_away_is_named(world: World) -> None:
    world.add_node(gpu_node("rightless"))
    role = world.installation.find("ClusterRole", "hami-scheduler")
    less = [
        {**rule, "verbs": [verb for verb in rule["verbs"] if (rule["resources"], verb) != (["pods/binding"], "create")]}
        for rule in role["rules"]
    ]
    world.api.apply({**role, "rules": [rule for rule in less if rule["verbs"]]})
    try:
        findings: Findings = []
        for _ in range(30):
            code, findings = _doctor(world)
            if code:
                break
    finally:
        world.api.apply(role)

    (finding,) = _problems(findings)
    assert (finding["about"], finding["what"]) == (SCHEDULER_USER, "may not create pods/binding")


def test_someone_who_may_not_look_is_told_what_could_not_be_checked(world: World) -> None:
    code, findings = _doctor(world, kubeconfig=world.plane.kubeconfig("user", "user"))

    assert code == 0
    unknown = {finding["check"] for finding in findings if finding["level"] == "unknown"}
    assert {"nodes", "pending pods", "webhook"} <= unknown


def test_the_rights_that_are_asked_for_are_those_that_the_chart_gives(world: World) -> None:
    names = ("hami-scheduler", "hami-scheduler-election")
    given = {
        (group, resource, verb)
        for item in world.installation.manifests
        if item["kind"] in ("ClusterRole", "Role") and item["metadata"]["name"] in names
        for rule in item["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert given == {(need.group, need.resource, verb) for need in (*NEEDS, *LEASES) for verb in need.verbs}
