"""`hami doctor` on a cluster that is well, and with one thing wrong at a time."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
import trustme
import yaml
from aiohttp import web
from click.testing import CliRunner
from cryptography import x509
from tests.kube.fake_api import FakeApi, fake_api
from tests.kube.loop import in_loop
from tests.kube.world import node, placed, pod

from hami_core import __version__
from hami_core.cli.doctor import doctor
from hami_core.kube.doctor import Finding, Level, Look, Wanted, examine
from hami_core.kube.doctor.look import samples

Object = dict[str, Any]

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
AUTHORITY = trustme.CA()
AUTHORITY_ENDS = x509.load_pem_x509_certificate(AUTHORITY.cert_pem.bytes()).not_valid_after_utc
DEPLOYMENT = "/apis/apps/v1/namespaces/hami-system/deployments/hami-scheduler"
KUBE_SCHEDULER = "/apis/apps/v1/namespaces/hami-system/deployments/hami-kube-scheduler"
WEBHOOK = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/hami-scheduler"
CONFIG = "/api/v1/namespaces/hami-system/configmaps/hami-kube-scheduler"
DEVICES = "/api/v1/namespaces/hami-system/configmaps/hami-scheduler-device"
SLICE = "/apis/discovery.k8s.io/v1/namespaces/hami-system/endpointslices/hami-scheduler-extender-x"
NODE = "/api/v1/nodes/n1"
PODS = "/api/v1/namespaces/team/pods"
RESOURCES = ("gpu", "gpumem", "gpumem-percentage", "gpucores", "priority")
PLUGIN = "system:serviceaccount:kube-system:hami-device-plugin"
ENDS_S = (NOW + timedelta(days=300)).timestamp()
METRICS = f"""\
hami_scheduler_leader 1.0
hami_scheduler_synced 1.0
hami_scheduler_drift_total 0.0
hami_build_info{{platform="linux/amd64",version="{__version__}"}} 1.0
hami_scheduler_certificate_expiry_seconds {ENDS_S}
"""


def deployment(name: str, *arguments: str, ready: int = 1) -> Object:
    container = {"name": "main", "command": ["hami", "scheduler"], "args": list(arguments)}
    if name != "hami-scheduler":
        container["command"] = ["kube-scheduler"]
    volumes = [{"name": "device-config", "configMap": {"name": "hami-scheduler-device"}}]
    template = {"spec": {"serviceAccountName": name, "containers": [container], "volumes": volumes}}
    labels = {"app.kubernetes.io/component": name.removeprefix("hami-")}
    return {
        "kind": "Deployment",
        "metadata": {"namespace": "hami-system", "name": name, "labels": labels},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
        "status": {"readyReplicas": ready},
    }


def webhook(**changes: Any) -> Object:
    bundle = base64.b64encode(AUTHORITY.cert_pem.bytes()).decode()
    hook = {"name": "vgpu.hami.io", "failurePolicy": "Fail", "clientConfig": {"caBundle": bundle}, **changes}
    return {"kind": "MutatingWebhookConfiguration", "metadata": {"name": "hami-scheduler"}, "webhooks": [hook]}


def configuration(**changes: Any) -> Object:
    extender = {
        "filterVerb": "filter",
        "bindVerb": "bind",
        "nodeCacheCapable": True,
        "managedResources": [{"name": f"nvidia.com/{name}", "ignoredByScheduler": True} for name in RESOURCES],
        **changes,
    }
    config = {
        "kind": "KubeSchedulerConfiguration",
        "profiles": [{"schedulerName": "hami-scheduler"}],
        "extenders": [extender],
    }
    return {
        "kind": "ConfigMap",
        "metadata": {"namespace": "hami-system", "name": "hami-kube-scheduler"},
        "data": {"config.yaml": yaml.safe_dump(config)},
    }


@attrs.define
class Patient:
    """A cluster; by default nothing is wrong with it."""

    fake: FakeApi
    api: Any
    metrics: str = METRICS
    allowed: bool = True
    created: Callable[[], web.Response] = lambda: web.json_response(
        {"spec": {"schedulerName": "hami-scheduler"}}, status=201
    )
    forbidden: str = ""

    async def answer(self, method: str, path: str) -> web.Response | None:
        if self.forbidden and path.endswith(self.forbidden):
            return web.json_response({"message": f"may not list {self.forbidden}"}, status=403)
        if path.endswith("accessreviews"):
            return web.json_response({"status": {"allowed": self.allowed}}, status=201)
        if method == "POST" and path.endswith("/pods"):
            return self.created()
        return None

    async def findings(self) -> list[Finding]:
        wanted = Wanted(metrics=lambda: self.metrics, pending_s=30)
        return await examine(Look(self.api, wanted, clock=lambda: NOW))

    async def wrong(self) -> list[Finding]:
        """What is not well."""
        return [finding for finding in await self.findings() if finding.level is not Level.OK]


@asynccontextmanager
async def patient() -> AsyncIterator[Patient]:
    async with fake_api() as (fake, api):
        made = Patient(fake=fake, api=api)
        fake.faults.append(made.answer)
        objects = {
            DEPLOYMENT: deployment("hami-scheduler", "--leader-elect", f"--trusted-user={PLUGIN}"),
            KUBE_SCHEDULER: deployment("hami-kube-scheduler"),
            WEBHOOK: webhook(),
            CONFIG: configuration(),
            DEVICES: {"kind": "ConfigMap", "metadata": {}, "data": {"device-config.yaml": "nvidia: {}\n"}},
            SLICE: {
                "metadata": {"labels": {"kubernetes.io/service-name": "hami-scheduler-extender"}},
                "endpoints": [{"conditions": {"ready": True}}],
            },
            NODE: node("n1", cards=2),
        }
        for path, item in objects.items():
            await fake.put(path, item)
        yield made


@in_loop
async def test_nothing_is_found_wrong_with_a_cluster_that_is_well_and_nothing_is_written() -> None:
    async with patient() as well:
        found = await well.findings()
        assert [finding for finding in found if finding.level is not Level.OK] == []
        assert {finding.check for finding in found} == {
            "versions",
            "installation",
            "device configuration",
            "webhook",
            "kube-scheduler",
            "rights",
            "nodes",
            "locks",
            "books",
            "pending pods",
        }
        posts = {path.rsplit("/", 1)[1] for method, path in well.fake.calls if method != "GET"}
        assert posts == {"subjectaccessreviews", "selfsubjectreviews", "pods"}  # the last as a dry run


def _node(**changes: Any) -> Object:
    return {**node("n1"), **changes}


OBJECTS: list[tuple[str, str, Object | None, str, str, str]] = [
    # id, path, what is there instead, check, what is said, what to do
    ("not-installed", DEPLOYMENT, None, "installation", "no Deployment", "helm install"),
    ("not-ready", DEPLOYMENT, deployment("hami-scheduler", ready=0), "installation", "none of 1", "describe"),
    ("no-webhook", WEBHOOK, None, "webhook", "default scheduler", "helm upgrade"),
    ("no-ca", WEBHOOK, webhook(clientConfig={}), "webhook", "has no CA", "cert-manager"),
    ("bad-ca", WEBHOOK, webhook(clientConfig={"caBundle": "bm8="}), "webhook", "no PEM", "helm upgrade"),
    ("ignore", WEBHOOK, webhook(failurePolicy="Ignore"), "webhook", "let in unchecked", "failurePolicy=Fail"),
    (
        "no-profile",
        CONFIG,
        {"metadata": {"name": "c"}, "data": {"c": "kind: KubeSchedulerConfiguration"}},
        "kube-scheduler",
        "no profile",
        "docs/install.md",
    ),
    ("no-bind-verb", CONFIG, configuration(bindVerb=""), "kube-scheduler", "no extender", "docs/install.md"),
    ("slow", CONFIG, configuration(nodeCacheCapable=False), "kube-scheduler", "slow", "nodeCacheCapable: true"),
    (
        "unmanaged",
        CONFIG,
        configuration(managedResources=[{"name": "nvidia.com/gpu", "ignoredByScheduler": True}]),
        "kube-scheduler",
        "does not manage nvidia.com/gpucores, nvidia.com/gpumem",
        "managedResources",
    ),
    (
        "counted-twice",
        CONFIG,
        configuration(managedResources=[{"name": f"nvidia.com/{n}"} for n in RESOURCES]),
        "kube-scheduler",
        "not ignoredByScheduler",
        "ignoredByScheduler: true",
    ),
    ("elsewhere", CONFIG, None, "kube-scheduler", "must have our extender", "docs/install.md"),
    (
        "no-leader",
        SLICE,
        {"metadata": {"labels": {"kubernetes.io/service-name": "hami-scheduler-extender"}}},
        "kube-scheduler",
        "nobody answers",
        "scheduler-role=leader",
    ),
    (
        "malformed",
        NODE,
        node("n1", **{"hami.io/node-nvidia-register": "[{"}),
        "nodes",
        "not JSON",
        "restart the device plugin",
    ),
    (
        "unregistered",
        NODE,
        _node(metadata={"name": "n1"}),
        "nodes",
        "hami.io/node-nvidia-register is missing",
        "see the log of ours",
    ),
    (
        "labelled",
        NODE,
        {"kind": "Node", "metadata": {"name": "n1", "labels": {"gpu": "on"}}},
        "nodes",
        "registers no device",
        "log of the device plugin",
    ),
    (
        "unanswered",
        NODE,
        node("n1", **{"hami.io/node-handshake": "Requesting_2026-11-01 00:00:00"}),
        "nodes",
        "has not answered since 2026-11-01",
        "run on the node",
    ),
    (
        "broken-lock",
        NODE,
        node("n1", **{"hami.io/mutex.lock": "soon"}),
        "locks",
        "must be a time",
        "kubectl annotate node n1 hami.io/mutex.lock-",
    ),
    (
        "dead-lock",
        NODE,
        node("n1", **{"hami.io/mutex.lock": "2026-11-24T11:59:00Z,team,gone"}),
        "locks",
        "team/gone, which is gone",
        "kubectl annotate",
    ),
    (
        "bad-config",
        DEVICES,
        {"metadata": {}, "data": {"device-config.yaml": "nvidia: {resorceCountName: x}"}},
        "device configuration",
        "resorceCountName",
        "mend",
    ),
]


@pytest.mark.parametrize(
    ("path", "item", "check", "what", "do"), [row[1:] for row in OBJECTS], ids=[row[0] for row in OBJECTS]
)
@in_loop
async def test_what_is_wrong_with_an_object_is_said_with_what_to_do(
    path: str, item: Object | None, check: str, what: str, do: str
) -> None:
    async with patient() as ill:
        if item is None:
            await ill.fake.delete(path)
        else:
            await ill.fake.put(path, json.loads(json.dumps({"metadata": {}, **item})))
        assert [f for f in await ill.wrong() if f.check == check and what in f.what and do in f.do], await ill.wrong()


VERSIONS = [("29", Level.PROBLEM, "before 1.30"), ("38", Level.NOTE, "tested are"), ("x", Level.UNKNOWN, "reads 1.x")]


@pytest.mark.parametrize(("minor", "level", "what"), VERSIONS)
@in_loop
async def test_a_kubernetes_that_is_too_old_or_not_known_is_said(minor: str, level: Level, what: str) -> None:
    async with patient() as ill:
        ill.fake.minor = minor
        (finding,) = await ill.wrong()
        assert (finding.check, finding.level) == ("versions", level)
        assert what in finding.what


@in_loop
async def test_two_webhooks_are_one_too_many() -> None:
    async with patient() as ill:
        await ill.fake.put(f"{WEBHOOK}-old", {**webhook(), "metadata": {"name": "old"}})
        assert "configured more than once" in (await ill.wrong())[0].what


@pytest.mark.parametrize(("days", "what"), [(-1, "ended on"), (10, "ends on")])
@in_loop
async def test_a_ca_that_has_ended_or_soon_will_is_told_with_its_day(days: int, what: str) -> None:
    ends = AUTHORITY_ENDS - timedelta(days=days)
    async with patient() as ill:
        found = await examine(Look(ill.api, Wanted(metrics=lambda: METRICS), clock=lambda: ends))
        assert [finding for finding in found if finding.check == "webhook" and what in finding.what]


def _refused(message: str, status: int = 500) -> Callable[[], web.Response]:
    return lambda: web.json_response({"message": message}, status=status)


CALLS = [
    (_refused('failed calling webhook "vgpu.hami.io": x509: unknown authority'), Level.PROBLEM, "helm upgrade"),
    (_refused('failed calling webhook "vgpu.hami.io": connection refused', 400), Level.PROBLEM, "no replica"),
    (_refused('failed calling webhook "vgpu.hami.io": context deadline exceeded', 400), Level.PROBLEM, "firewalls"),
    (_refused("pods is forbidden", 403), Level.UNKNOWN, "may create pods"),
    (lambda: web.json_response({"spec": {"schedulerName": "default-scheduler"}}), Level.PROBLEM, "matchConditions"),
]


@pytest.mark.parametrize(("created", "level", "do"), CALLS, ids=["ca", "refused", "deadline", "forbidden", "not-asked"])
@in_loop
async def test_the_webhook_is_tried_and_the_api_server_s_words_get_a_cure(
    created: Callable[[], web.Response], level: Level, do: str
) -> None:
    async with patient() as ill:
        ill.created = created
        (finding,) = await ill.wrong()
        assert (finding.check, finding.level) == ("webhook", level)
        assert do in finding.do


@in_loop
async def test_each_right_that_is_missing_is_named() -> None:
    async with patient() as ill:
        ill.allowed = False
        (finding,) = await ill.wrong()
        assert finding.about == "system:serviceaccount:hami-system:hami-scheduler"
        assert "patch nodes" in finding.what
        assert "create pods/binding" in finding.what
        assert "update leases in namespace hami-system" in finding.what


@in_loop
async def test_a_device_plugin_that_may_write_pods_must_be_trusted() -> None:
    sockets = {"hostPath": {"path": "/var/lib/kubelet/device-plugins/"}}
    async with patient() as ill:
        for name in ("hami-device-plugin", "another"):
            item = pod(name, 0, serviceAccountName=name, volumes=[sockets], nodeName="n1")
            item["metadata"]["namespace"] = "kube-system"
            await ill.fake.put(f"/api/v1/namespaces/kube-system/pods/{name}", item)
        (finding,) = await ill.wrong()
        assert finding.about == "system:serviceaccount:kube-system:another"
        assert "scheduler.trustedUsers" in finding.do


BOOKS = [
    ("hami_scheduler_leader 1.0", "hami_scheduler_leader 0.0", "no replica leads"),
    ("hami_scheduler_synced 1.0", "hami_scheduler_synced 0.0", "has not read the cluster"),
    ("hami_scheduler_drift_total 0.0", "hami_scheduler_drift_total 3.0", "3 pods were booked wrongly"),
    ("hami_scheduler_leader 1.0", "hami_scheduler_leader 1.0\nhami_scheduler_strays 2.0", "2 shares are of cards"),
    (f"expiry_seconds {ENDS_S}", "expiry_seconds 0", "its certificate ends on"),
    (f'version="{__version__}"', 'version="0.0.0"', "hami scheduler is 0.0.0"),
]


@pytest.mark.parametrize(("line", "instead", "what"), BOOKS, ids=[row[2] for row in BOOKS])
@in_loop
async def test_what_the_scheduler_measures_of_itself_is_judged(line: str, instead: str, what: str) -> None:
    async with patient() as ill:
        ill.metrics = METRICS.replace(line, instead)
        assert ill.metrics != METRICS
        assert what in (await ill.wrong())[0].what


def waiting(name: str, memory_mib: int | str, **spec: Any) -> Object:
    item = pod(name, memory_mib, **{"schedulerName": "hami-scheduler", **spec})
    item["metadata"]["creationTimestamp"] = (NOW - timedelta(minutes=5)).isoformat()
    return item


PENDING = [
    ("too-large", waiting("a", 99999), "2/2 CardInsufficientMemory", "would help: container main"),
    ("other-scheduler", waiting("a", 1000, schedulerName="default-scheduler"), "did not see it", "create it anew"),
    ("fits", waiting("a", 1000), "fits node n1, and waits", "see the findings above"),
    ("nonsense", waiting("a", "many"), "must be", "create it anew"),
]


@pytest.mark.parametrize(("item", "what", "do"), [row[1:] for row in PENDING], ids=[row[0] for row in PENDING])
@in_loop
async def test_a_pod_that_waits_is_told_why_and_what_helps(item: Object, what: str, do: str) -> None:
    async with patient() as ill:
        await ill.fake.put(f"{PODS}/a", item)
        await ill.fake.put(f"{PODS}/held", placed("held", "GPU-n1-0", "n1"))
        young = waiting("young", 99999)
        young["metadata"]["creationTimestamp"] = (NOW - timedelta(seconds=3)).isoformat()
        await ill.fake.put(f"{PODS}/young", young)
        (finding,) = await ill.wrong()
        assert finding.about == "pod team/a"
        assert what in finding.what
        assert do in finding.do


@in_loop
async def test_what_may_not_be_read_is_unknown_and_the_rest_is_checked() -> None:
    async with patient() as ill:
        ill.forbidden = "/nodes"
        unknown = await ill.wrong()
        assert {finding.level for finding in unknown} == {Level.UNKNOWN}
        assert {finding.check for finding in unknown} == {"kube-scheduler", "nodes", "locks", "pending pods"}
        assert all("administrator" in finding.do for finding in unknown)


@in_loop
async def test_a_cluster_without_hami_is_told_how_to_install_it_and_nothing_fails() -> None:
    async with fake_api() as (_fake, api):
        found = await examine(Look(api, Wanted(), clock=lambda: NOW))
        assert {finding.check for finding in found if finding.level is Level.PROBLEM} == {
            "installation",
            "webhook",
            "nodes",
        }


def test_metrics_that_are_no_numbers_are_passed_over() -> None:
    assert samples('hami_scheduler_drift_total x\nhami_build_info{version="1"} 1\nother 2\n') == {
        "hami_build_info:1": 1
    }


def test_the_command_says_what_a_url_must_look_like() -> None:
    done = CliRunner().invoke(doctor, ["--metrics-url", "localhost:9395"])
    assert done.exit_code == 2
    assert "takes a URL" in done.output
