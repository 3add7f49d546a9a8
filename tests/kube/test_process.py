from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families
from tests.kube.fake_api import FakeApi, fake_api, until
from tests.kube.loop import in_loop
from tests.kube.world import node, placed, pod, registry

from hami_core.errors import BadConfig
from hami_core.kube.process import Scheduler
from hami_core.kube.server import build, build_metrics
from hami_core.kube.settings import ElectionSettings, Settings
from hami_core.kube.tls import TlsFiles

PODS = "/api/v1/namespaces/team/pods"


class Client:
    """Asks the process as kube-scheduler and people do."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def post(self, path: str, body: object) -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self._session.post(self._url + path, data=data) as answer:
            return answer.status, await answer.json()

    async def get(self, path: str) -> tuple[int, str]:
        async with self._session.get(self._url + path) as answer:
            return answer.status, await answer.text()


@asynccontextmanager
async def site(app: web.Application) -> AsyncIterator[Client]:
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession() as session:
            yield Client(session, f"http://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await runner.cleanup()


@asynccontextmanager
async def running(
    fake_and_api: tuple[FakeApi, Any], settings: Settings | None = None
) -> AsyncIterator[tuple[Scheduler, Client]]:
    _fake, api = fake_and_api
    scheduler = Scheduler(api, registry(), settings or Settings())
    task = asyncio.create_task(scheduler.run())
    try:
        async with site(build(scheduler)) as client:
            yield scheduler, client
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@in_loop
async def test_a_pod_goes_from_filter_to_its_node_and_frees_its_share_when_it_is_deleted() -> None:
    async with fake_api() as both, running(both) as (scheduler, client):
        fake = both[0]
        await fake.put("/api/v1/nodes/n1", node("n1"))
        await fake.put(f"{PODS}/a", pod("a"))
        await until(lambda: scheduler.closed() == "" and scheduler.cache.inventories)
        status, answer = await client.post("/filter", {"Pod": fake.item(f"{PODS}/a"), "NodeNames": ["n1"]})
        assert (status, answer["NodeNames"]) == (200, ["n1"])
        bind = {"PodName": "a", "PodNamespace": "team", "PodUID": "uid-a", "Node": "n1"}
        assert await client.post("/bind", bind) == (200, {"Error": ""})
        await until(lambda: not scheduler.cache.flights)
        _, answer = await client.post("/filter", {"Pod": pod("b"), "NodeNames": ["n1"]})
        assert answer["NodeNames"] == []
        await fake.delete(f"{PODS}/a")
        await until(lambda: not scheduler.cache.placed)
        _, answer = await client.post("/filter", {"Pod": pod("b"), "NodeNames": ["n1"]})
        assert answer["NodeNames"] == ["n1"]
        await until(lambda: len(fake.events) >= 3)
        said = [event["reason"] for event in fake.events]
        assert said[:2] == ["FilteringSucceed", "BindingSucceed"]
        assert "FilteringFailed" in said
        identity = fake.events[0]["message"].rsplit("[", 1)[1]
        assert fake.events[1]["message"].endswith(identity)


@pytest.mark.parametrize(("minor", "writes"), [("37", 1), ("35+", 1), ("34", 2)])
@in_loop
async def test_a_server_that_copies_labels_of_bindings_gets_one_write_a_pod(minor: str, writes: int) -> None:
    async with fake_api() as both:
        fake = both[0]
        fake.minor = minor
        await fake.put("/api/v1/nodes/n1", node("n1"))
        await fake.put(f"{PODS}/a", pod("a"))
        async with running(both) as (scheduler, client):
            await until(lambda: scheduler.closed() == "" and scheduler.binds_at_once is not None)
            bind = {"PodName": "a", "PodNamespace": "team", "PodUID": "uid-a", "Node": "n1"}
            assert await client.post("/bind", bind) == (200, {"Error": ""})
            assert fake.writes() == [("PATCH", f"{PODS}/a"), ("POST", f"{PODS}/a/binding")][-writes:]


@in_loop
async def test_a_server_that_does_not_say_its_version_gets_the_careful_two_writes() -> None:
    async with fake_api() as both:
        fake = both[0]
        fake.minor = "next"
        await fake.put("/api/v1/nodes/n1", node("n1"))
        await fake.put(f"{PODS}/a", pod("a"))
        async with running(both) as (scheduler, client):
            await until(lambda: scheduler.closed() == "" and ("GET", "/version") in fake.calls)
            bind = {"PodName": "a", "PodNamespace": "team", "PodUID": "uid-a", "Node": "n1"}
            assert await client.post("/bind", bind) == (200, {"Error": ""})
            assert len(fake.writes()) == 2


@in_loop
async def test_a_pod_refused_before_our_watch_showed_the_room_is_woken_and_one_without_room_is_not() -> None:
    async with fake_api() as both, running(both) as (scheduler, client):
        fake = both[0]
        await until(lambda: scheduler.closed() == "")
        for name, memory_mib in (("early", 6000), ("large", 20000)):
            await fake.put(f"{PODS}/{name}", pod(name, memory_mib))
            _, answer = await client.post("/filter", {"Pod": fake.item(f"{PODS}/{name}"), "NodeNames": ["n1"]})
            assert answer["NodeNames"] == []
        await fake.put("/api/v1/nodes/n1", node("n1"))
        await until(lambda: "hami.io/retry" in fake.item(f"{PODS}/early")["metadata"].get("annotations", {}))
        assert "hami.io/retry" not in fake.item(f"{PODS}/large")["metadata"].get("annotations", {})


@in_loop
async def test_until_the_cluster_is_read_nothing_is_decided() -> None:
    async with fake_api() as both:
        gate = asyncio.Event()

        async def hold(method: str, path: str) -> web.Response | None:
            if path == "/api/v1/pods":
                await gate.wait()
            return None

        both[0].faults.append(hold)
        async with running(both) as (scheduler, client):
            assert (await client.get("/readyz"))[0] == 503
            assert (await client.get("/healthz"))[0] == 200
            status, answer = await client.post("/filter", {"Pod": pod("a"), "NodeNames": ["n1"]})
            assert (status, answer) == (503, {"error": "the cluster has not been read yet"})
            gate.set()
            await until(lambda: scheduler.closed() == "")
            assert (await client.get("/readyz"))[0] == 200


@in_loop
async def test_a_follower_serves_the_webhook_and_says_who_leads() -> None:
    async with fake_api() as both:
        spec = {"holderIdentity": "other", "leaseDurationSeconds": 60, "renewTime": "2999-01-01T00:00:00.000000Z"}
        lease = {"metadata": {"name": "l"}, "spec": spec}
        await both[0].put("/apis/coordination.k8s.io/v1/namespaces/hami/leases/l", lease)
        settings = Settings(election=ElectionSettings(namespace="hami", name="l", retry_s=0.05))
        async with running(both, settings) as (scheduler, client):
            await until(lambda: scheduler.synced)
            for path, body in (
                ("/filter", {"Pod": pod("a"), "NodeNames": []}),
                ("/bind", {"PodName": "a", "PodNamespace": "b", "Node": "c"}),
            ):
                status, answer = await client.post(path, body)
                assert (status, answer) == (503, {"error": "this process does not lead; other does"})
            request = {"uid": "u", "operation": "CREATE", "namespace": "team", "object": pod("a")}
            review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
            status, answer = await client.post("/webhook", review)
            assert (status, answer["response"]["allowed"]) == (200, True)
            assert (await client.get("/readyz"))[0] == 200


@in_loop
async def test_a_new_leader_reads_the_cluster_once_more_before_it_decides() -> None:
    async with fake_api() as both:
        fake = both[0]
        path = "/apis/coordination.k8s.io/v1/namespaces/hami/leases/l"
        spec = {"holderIdentity": "other", "leaseDurationSeconds": 60, "renewTime": "2999-01-01T00:00:00.000000Z"}
        await fake.put(path, {"metadata": {"name": "l"}, "spec": spec})
        settings = Settings(election=ElectionSettings(namespace="hami", name="l", retry_s=0.05))
        async with running(both, settings) as (scheduler, _client):
            await until(lambda: scheduler.synced)
            lists = fake.calls.count(("GET", "/api/v1/pods"))
            # A write of the last leader that our watch has not shown.
            fake.objects["/api/v1/nodes/n1"] = {**node("n1")}
            fake.objects["/api/v1/nodes/n1"]["metadata"]["resourceVersion"] = "1"
            fake.objects[f"{PODS}/a"] = placed("a", "GPU-n1-0", "n1")
            fake.item(path)["spec"]["holderIdentity"] = ""
            await until(lambda: scheduler.closed() == "")
            assert fake.calls.count(("GET", "/api/v1/pods")) > lists
            assert [use.memory_used_mib for use in scheduler.cache.fleet.uses("n1")] == [6000]


@in_loop
async def test_strangers_get_an_answer_that_says_what_is_wrong() -> None:
    async with fake_api() as both, running(both) as (scheduler, client):
        await until(lambda: scheduler.closed() == "")
        for path in ("/filter", "/prioritize", "/bind", "/webhook"):
            status, answer = await client.post(path, b"{nonsense")
            assert status == 400
            assert "malformed" in answer["error"] or "invalid" in answer["error"]
        assert (await client.get("/explain/team/nobody"))[0] == 404
        assert (await client.get("/filter"))[0] == 405
        assert (await client.get("/elsewhere"))[0] == 404


@in_loop
async def test_a_pod_that_fits_nowhere_is_explained_with_what_would_help() -> None:
    async with fake_api() as both, running(both) as (scheduler, client):
        await both[0].put("/api/v1/nodes/n1", node("n1"))
        await until(lambda: scheduler.closed() == "" and scheduler.cache.inventories)
        await client.post("/filter", {"Pod": pod("a", 12000), "NodeNames": ["n1"]})
        status, text = await client.get("/explain/team/a")
        assert status == 200
        told = json.loads(text)
        assert told["outcome"] == "rejected"
        assert told["tally"] == {"1/1 CardInsufficientMemory": 1}
        assert "10000" in told["advice"][0]


@in_loop
async def test_a_new_leader_explains_pods_that_it_has_not_decided() -> None:
    async with fake_api() as both, running(both) as (scheduler, client):
        fake = both[0]
        await fake.put("/api/v1/nodes/n1", node("n1"))
        misspelt = {"hami.io/node-scheduler-policy": "binpak"}
        pods = {
            "held": placed("held", "GPU-n1-0", "n1"),
            "large": pod("large", 9000, annotations=misspelt),
            "small": pod("small", 1000),
            "wrong": pod("wrong", "many"),
            "plain": pod("plain", 0),
        }
        for name, item in pods.items():
            await fake.put(f"{PODS}/{name}", item)
        await until(lambda: scheduler.closed() == "" and scheduler.cache.placed and scheduler.cache.inventories)
        status, told = 0, {}
        for name in pods:
            status, text = await client.get(f"/explain/team/{name}")
            told[name] = json.loads(text)
        assert (status, told["plain"]) == (404, {"error": "there is no pod team/plain, or it asks for no device"})
        assert (told["held"]["outcome"], told["held"]["node"]) == ("bound", "n1")
        assert "GPU-n1-0 (6000 MiB)" in told["held"]["message"]
        assert told["large"]["outcome"] == "rejected"
        assert "did not decide it" in told["large"]["message"]
        assert "9000 MiB" in told["large"]["nodes"]["n1"][1]
        assert "did you mean binpack?" in told["large"]["notes"][0]
        assert told["large"]["advice"]
        assert told["small"]["outcome"] == "waiting"
        assert "fits node n1 now" in told["small"]["message"]
        assert told["wrong"]["outcome"] == "rejected"
        assert scheduler.cache.flights == {}


@in_loop
async def test_a_policy_that_nobody_has_is_said_in_an_event_and_in_the_explanation() -> None:
    async with fake_api() as both, running(both) as (scheduler, client):
        fake = both[0]
        await fake.put("/api/v1/nodes/n1", node("n1"))
        await until(lambda: scheduler.closed() == "" and scheduler.cache.inventories)
        item = pod("a", annotations={"hami.io/gpu-scheduler-policy": "sprede"})
        for _ in range(2):
            await client.post("/filter", {"Pod": item, "NodeNames": ["n1"]})
        await until(lambda: [event for event in fake.events if event["reason"] == "UnknownPolicy"])
        (told,) = [event for event in fake.events if event["reason"] == "UnknownPolicy"]
        assert 'no device policy is called "sprede", spread is taken; did you mean spread?' in told["message"]
        notes = json.loads((await client.get("/explain/team/a"))[1])["notes"]
        assert told["message"].startswith(notes[0])


@in_loop
async def test_metrics_have_hamis_names_and_labels_and_its_old_ones_when_asked() -> None:
    async with fake_api() as both, running(both, Settings(legacy_metrics=True)) as (scheduler, _client):
        fake = both[0]
        await fake.put("/api/v1/nodes/n1", node("n1"))
        item = placed("a", "GPU-n1-0", "n1", 5000)
        part = {"profile": "1g.5gb", "placement": {"start": 6, "size": 1}, "migUUID": "MIG-a", "gpuInstanceID": 9}
        part |= {"containerIndex": 0, "deviceIndex": 0, "gpuUUID": "GPU-n1-0", "computeInstanceID": 0}
        item["metadata"]["annotations"]["hami.io/vgpu-mig-allocations"] = json.dumps([part])
        await fake.put(f"{PODS}/a", item)
        hard = {"kind": "ResourceQuota", "metadata": {"name": "q", "namespace": "team"}}
        await fake.put("/api/v1/resourcequotas/q", {**hard, "spec": {"hard": {"limits.nvidia.com/gpumem": "9000"}}})
        await until(lambda: scheduler.cache.inventories and scheduler.cache.placed and scheduler.cache.quotas)
        async with site(build_metrics(scheduler)) as metrics:
            status, text = await metrics.get("/metrics")
        assert status == 200
        card = 'node="n1",device_uuid="GPU-n1-0",device_index="0",device_type="NVIDIA A40",zone="vGPU"'
        old_card = 'nodeid="n1",deviceuuid="GPU-n1-0",deviceidx="0",devicetype="NVIDIA A40",zone="vGPU"'
        share = 'namespace="team",node="n1",pod="a",container_index="0",device_uuid="GPU-n1-0",zone="vGPU"'
        for line in (
            f"hami_gpu_memory_limit_bytes{{{card}}} 10485760000",
            f"hami_gpu_shared_count{{{card}}} 1",
            f"hami_gpu_core_limit_ratio{{{card}}} 100",
            f"hami_node_gpu_memory_allocated_ratio{{{card}}} 0.5",
            f'hami_gpu_memory_allocated_bytes{{{card},device_cores="0"}} 5242880000',
            f'hami_node_gpu_overview{{{card},device_cores="0",device_memory_limit="10000"}} 5242880000',
            f"hami_vgpu_memory_allocated_bytes{{{share}}} 5242880000",
            f"hami_vgpu_core_allocated_ratio{{{share}}} 0",
            'hami_resource_quota_used{namespace="team",quota_name="nvidia.com/gpumem",limit="9000",zone="vGPU"} 5000',
            'hami_resource_quota_limit{namespace="team",quota_name="nvidia.com/gpumem",zone="vGPU"} 9000',
            (
                'hami_node_gpu_mig_instance_info{node="n1",device_uuid="GPU-n1-0",device_index="0",mig_uuid="MIG-a",'
                'profile="1g.5gb",gpu_instance_id="9",compute_instance_id="0",placement_start="6",placement_size="1",'
                'zone="vGPU"} 1'
            ),
            f"GPUDeviceSharedNum{{{old_card}}} 1",
            'nodeGPUMemoryPercentage{nodeid="n1",deviceuuid="GPU-n1-0",deviceidx="0",zone="vGPU"} 0.5',
            'QuotaUsed{quotanamespace="team",quotaName="nvidia.com/gpumem",limit="9000",zone="vGPU"} 5000',
        ):
            assert line in text.splitlines()
        parsed = {family.name: family for family in text_string_to_metric_families(text)}
        assert parsed["hami_gpu_shared_count"].type == "gauge"
        assert parsed["hami_scheduler_pods"].samples[0].value == 1


@in_loop
async def test_a_changed_configuration_is_used_and_a_bad_one_is_not(tmp_path: Path) -> None:
    file = tmp_path / "device-config.yaml"
    file.write_text("{}")
    settings = Settings(device_config=file, config_every_s=0.05)
    async with fake_api() as both, running(both, settings) as (scheduler, _client):
        await both[0].put("/api/v1/nodes/n1", node("n1"))
        await until(lambda: scheduler.closed() == "" and scheduler.cache.inventories)
        before = scheduler.cache
        file.write_text("nvidia: {")
        await until(lambda: scheduler.bad_configs == 1)
        assert scheduler.cache is before
        file.write_text("cambricon: {resourceCountName: example.com/mlu}")
        await until(lambda: scheduler.cache is not before and scheduler.closed() == "" and scheduler.cache.inventories)
        assert "example.com/mlu" in scheduler.cache.registry.by_resource


def test_a_renewed_certificate_is_served_and_a_broken_one_is_not(tmp_path: Path) -> None:
    authority = trustme.CA()
    files = TlsFiles(tmp_path / "tls.crt", tmp_path / "tls.key")
    with pytest.raises(BadConfig, match=r"tls\.crt"):
        files.load()

    def write(name: str) -> None:
        issued = authority.issue_cert(name)
        files.certificate.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        files.key.write_bytes(issued.private_key_pem.bytes())

    async def served(port: int) -> str:
        client = ssl.create_default_context()
        authority.configure_trust(client)
        client.check_hostname = False
        _reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client)
        found = writer.get_extra_info("peercert")["subjectAltName"][0][1]
        writer.close()
        return str(found)

    async def main() -> None:
        write("old.test")
        files.load()
        server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0, ssl=files.context)
        port = server.sockets[0].getsockname()[1]
        following = asyncio.create_task(files.follow())
        assert await served(port) == "old.test"
        files.key.write_bytes(b"broken")
        await asyncio.sleep(2.5)
        assert await served(port) == "old.test"
        write("new.test")
        await until(lambda: files.reloads == 1)
        assert await served(port) == "new.test"
        following.cancel()
        server.close()

    asyncio.run(main())
