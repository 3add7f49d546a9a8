"""`hami top --cluster`: what is promised by the API server's objects, what is used by the monitors that answer."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from rich.console import Console
from tests.kube.fake_api import FakeApi, fake_api
from tests.kube.loop import in_loop
from tests.kube.world import CARD_MIB, node, placed
from tests.monitor.world import MIB, Charged, container, limits, sight, write_region

from hami_core.cli.top import top
from hami_core.cli.top_cluster import as_dict, tables
from hami_core.isolation.limits import DeviceLimits
from hami_core.monitor.cluster import ClusterView, look_at_cluster
from hami_core.monitor.containers import ContainerFolders, PodName
from hami_core.monitor.devices import DeviceWatch
from hami_core.monitor.exporter import Exporter
from hami_core.monitor.monitor import Monitor
from hami_core.monitor.remote import read_metrics

CARD = "GPU-a-0"
Object = dict[str, Any]


def metrics(root: Path, *, used_mib: int | None = 900) -> str:
    """What the monitor of node a says while the pod `train` holds 300 MiB of its card."""
    folder = container(root)
    (folder / "limits").unlink()
    limits(DeviceLimits(uuid=CARD, memory_mib=6000)).write(folder / "limits")
    write_region(folder / "region", Charged(classes={"buffer": 300 * MIB}), uuid=CARD)
    devices = DeviceWatch([lambda: sight(used_mib=used_mib, node="a", uuid=CARD)])
    devices.look()
    source = ContainerFolders(root, node="a", names=lambda _uid: PodName(namespace="team", name="train"))
    return generate_latest(Exporter(Monitor([source], devices)).registry()).decode()


def monitor(name: str, node_name: str, **changes: Any) -> Object:
    ports = [{"name": "metrics", "containerPort": 9999}]
    return {
        "kind": "Pod",
        "metadata": {"namespace": "hami", "name": name, "labels": {"app.kubernetes.io/component": "monitor"}},
        "spec": {
            "nodeName": node_name,
            "containers": [{"name": "monitor", "command": ["hami", "monitor"], "ports": ports}],
        },
        "status": {"phase": "Running"},
        **changes,
    }


def answer_with(fake: FakeApi, **texts: web.Response | str) -> None:
    """Monitors by name, and what a scrape of them gives."""

    async def scraped(_method: str, path: str) -> web.Response | None:
        for name, answer in texts.items():
            if path == f"/api/v1/namespaces/hami/pods/http:{name}:9999/proxy/metrics":
                return web.Response(text=answer) if isinstance(answer, str) else answer
        return None

    fake.faults.append(scraped)


async def fill(fake: FakeApi) -> None:
    """Two nodes, each with a card and a pod that holds 6000 MiB of it; a monitor on one of them, and a bystander."""
    for name in ("a", "b"):
        await fake.put(f"/api/v1/nodes/{name}", node(name))
    await fake.put("/api/v1/nodes/empty", {"kind": "Node", "metadata": {"name": "empty"}, "status": {}})
    await fake.put("/api/v1/namespaces/team/pods/train", placed("train", CARD, "a"))
    await fake.put("/api/v1/namespaces/team/pods/infer", placed("infer", "GPU-b-0", "b"))
    await fake.put("/api/v1/namespaces/hami/pods/one", monitor("one", "a"))


def printed(view: ClusterView) -> str:
    console = Console(width=200, record=True, file=None, quiet=False)
    with console.capture() as captured:
        for each in tables(view, console):
            console.print(each)
    return captured.get()


@in_loop
async def test_what_is_promised_and_what_is_used_stand_side_by_side(tmp_path: Path) -> None:
    async with fake_api() as (fake, api):
        await fill(fake)
        answer_with(fake, one=metrics(tmp_path))
        document = as_dict(await look_at_cluster(api))
    (a, b) = document["nodes"]
    assert (a["node"], a["memory_mib"], a["memory_promised_mib"]) == ("a", CARD_MIB, 6000)
    assert (a["memory_used_bytes"], a["busy_ratio"], a["unknown_because"]) == (900 * MIB, 0.4, None)
    assert (b["memory_promised_mib"], b["memory_used_bytes"], b["busy_ratio"]) == (6000, None, None)
    assert b["unknown_because"] == "no monitor runs there"
    card = document["devices"][0]
    assert (card["uuid"], card["shares"], card["memory_drift_bytes"]) == (CARD, 1, 600 * MIB)
    (infer, train) = document["shares"]
    assert (train["pod"], train["memory_limit_mib"], train["memory_used_bytes"]) == ("train", 6000, 300 * MIB)
    assert train["isolated"] is True
    assert (infer["pod"], infer["memory_used_bytes"], infer["isolated"]) == ("infer", None, None)
    assert document["problems"] == []


@in_loop
async def test_people_read_that_a_use_is_unknown_and_why() -> None:
    async with fake_api() as (fake, api):
        await fill(fake)
        text = printed(await look_at_cluster(api, only=["b"]))
    assert "used: unknown on node b: no monitor runs there" in text
    assert "?/6000" in text
    assert "team/train" not in text


@in_loop
async def test_a_pod_that_uses_a_device_past_the_library_is_marked() -> None:
    async with fake_api() as (fake, api):
        await fill(fake)
        answer_with(
            fake,
            one='hami_isolation_bypass_bytes{node="a",namespace="team",pod="train"} 5\n'
            'hami_isolation_active{node="a",namespace="team",pod="train",container="main"} 1\n',
        )
        view = await look_at_cluster(api)
    assert {share.pod: share.bypassed for share in view.shares} == {"infer": False, "train": True}
    assert "bypassed" in printed(view)


@in_loop
async def test_a_monitor_that_fails_or_talks_nonsense_costs_its_own_node_its_numbers(tmp_path: Path) -> None:
    async with fake_api() as (fake, api):
        await fill(fake)
        await fake.put("/api/v1/nodes/c", node("c"))
        await fake.put("/api/v1/namespaces/hami/pods/two", monitor("two", "b"))
        await fake.put("/api/v1/namespaces/hami/pods/three", monitor("three", "c"))
        refused = web.json_response({"message": "dial tcp: refused"}, status=403)
        answer_with(fake, one=metrics(tmp_path), two=refused, three='a{b="} <html>')
        view = await look_at_cluster(api)
    silent = {each.name: each.silent for each in view.nodes}
    assert silent["a"] == ""
    assert "two cannot be asked: dial tcp: refused" in silent["b"]
    assert "three says is no metrics" in silent["c"]


@in_loop
async def test_a_pod_of_another_component_or_one_that_ended_is_no_monitor() -> None:
    async with fake_api() as (fake, api):
        await fill(fake)
        other = monitor("one", "a")
        other["spec"]["containers"][0]["command"] = ["somebody", "else"]
        await fake.put("/api/v1/namespaces/hami/pods/one", other)
        await fake.put("/api/v1/namespaces/hami/pods/two", monitor("two", "b", status={"phase": "Failed"}))
        view = await look_at_cluster(api)
    assert {each.silent for each in view.nodes} == {"no monitor runs there"}
    assert not [path for _, path in fake.calls if "proxy" in path]


@in_loop
async def test_what_a_driver_does_not_tell_stays_unknown(tmp_path: Path) -> None:
    async with fake_api() as (fake, api):
        await fill(fake)
        answer_with(fake, one=metrics(tmp_path, used_mib=None))
        document = as_dict(await look_at_cluster(api))
    assert document["devices"][0]["memory_used_bytes"] is None
    assert document["shares"][1]["memory_used_bytes"] == 300 * MIB


@in_loop
async def test_a_cluster_without_the_right_to_look_for_monitors_shows_what_is_promised() -> None:
    async with fake_api() as (fake, api):
        await fill(fake)

        async def forbid(_method: str, path: str) -> web.Response | None:
            denied = path.endswith("/deployments")
            return web.json_response({"message": "forbidden"}, status=403) if denied else None

        fake.faults.append(forbid)
        view = await look_at_cluster(api)
    assert [share.memory_mib for share in view.shares] == [6000, 6000]
    assert view.problems == ("the installation's device configuration is not known: forbidden",)


@given(st.text())
def test_any_text_is_metrics_or_a_value_error(text: str) -> None:
    try:
        read_metrics(text)
    except ValueError:
        return


@in_loop
async def test_the_command_reads_the_cluster_of_a_kubeconfig(tmp_path: Path) -> None:
    async with fake_api() as (fake, api):
        await fill(fake)
        config = {
            "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": api.host}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
        }
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
        words = ["--cluster", "--once", "-o", "json", "--kubeconfig", str(tmp_path / "kubeconfig")]
        done = await asyncio.to_thread(CliRunner().invoke, top, words)
    assert done.exit_code == 0, done.output
    assert [each["node"] for each in json.loads(done.output)["nodes"]] == ["a", "b"]


def test_options_of_a_cluster_are_refused_without_it() -> None:
    done = CliRunner().invoke(top, ["--once", "--node", "a"])
    assert done.exit_code == 2
    assert "add --cluster" in done.output
