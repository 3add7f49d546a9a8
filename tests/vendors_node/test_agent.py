"""Every vendor under the real `hami node-agent` and a kubelet that is not: registered, allocated, held to a share."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import attrs
import pytest
from tests.kube.fake_api import until
from tests.kube.loop import in_loop
from tests.node.world import NODE, Object, World, agent_process, world

from hami_core.inventory import read_inventory
from hami_core.node.health import HealthRules
from hami_core.objects import read_node
from hami_core.wire.pod_devices import decode_pod_devices

from .vendors import CLIENT, TIMEOUT_S, VENDORS, Host, Vendor

SHARE_MIB = 4096


def container(vendor: Vendor, name: str, memory_mib: int = SHARE_MIB, cards: int = 1) -> Object:
    memory = {vendor.memory_resource: str(memory_mib // vendor.memory_unit_mib)} if memory_mib else {}
    extra = vendor.extra_limits if memory_mib else {}
    return {"name": name, "resources": {"limits": {vendor.count_resource: str(cards), **memory, **extra}}}


def node(vendor: Vendor, tmp_path: Path) -> AbstractAsyncContextManager[World]:
    # A socket's path holds 107 characters, and the name of a test with its vendor's resource is longer.
    folder = Path(tempfile.mkdtemp(prefix="n", dir=tmp_path.parent))
    return world(folder, vendor.machine, plugin=vendor.plugin, doubles=vendor.doubles, resource=vendor.count_resource)


async def start(here: World, vendor: Vendor, name: str, *containers: Object) -> Object:
    """Place a pod of one container and bring it to its start; what CDI says the container gets."""
    await here.place(name, *containers, annotations=vendor.pod_annotations)
    admitted = await here.kubelet.admit("team", name, containers[0]["name"], vendor.count_resource, 1)
    await here.kubelet.pre_start(admitted)
    return here.edits(admitted)


def sick(here: World) -> set[str]:
    """Cards that kubelet must not give out."""
    devices = here.kubelet.devices(here.resource)
    return {name.rpartition("-")[0] for name, health in devices.items() if health != "Healthy"}


def assigned(here: World, vendor: Vendor, name: str) -> str:
    """The card that a pod was given."""
    annotations = here.cluster.item(f"/api/v1/namespaces/team/pods/{name}")["metadata"]["annotations"]
    key = here.registry.family(vendor.family).family.wire.allocated
    ((share,),) = [shares for shares in decode_pod_devices(annotations[key], what=key) if shares]
    return share.uuid


def inside(here: World, vendor: Vendor, edits: Object, *words: str) -> Object:
    """What a program says in a container that has what CDI says."""
    environ = dict(entry.partition("=")[::2] for entry in edits["env"])
    isolation = here.registry.family(vendor.family).family.isolation
    if vendor.shown_by_runtime and isolation is not None:
        environ[isolation.visible_env] = environ[isolation.runtime_env or isolation.visible_env]
    mounts = {mount["containerPath"]: mount["hostPath"] for mount in edits.get("mounts", ())}
    preload = Path(mounts["/etc/ld.so.preload"]).read_text().strip()
    done = subprocess.run(
        [sys.executable, str(CLIENT), vendor.name, *words],
        env={**here.environ, **environ, "LD_PRELOAD": preload},
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr
    said: Object = json.loads(done.stdout)
    return said


@in_loop
async def test_the_node_registers_its_cards_and_holds_a_pod_to_its_share(vendor: Vendor, tmp_path: Path) -> None:
    async with node(vendor, tmp_path) as here:
        async with agent_process(here):
            facts = read_node(here.cluster.item(NODE))
            known = {card.uuid: card for card in read_inventory(facts, here.registry).devices}
            assert set(known) == {card.uuid for card in vendor.file.report().devices}
            assert {card.family for card in known.values()} == {vendor.family}
            assert set(here.kubelet.devices(vendor.count_resource).values()) == {"Healthy"}
            edits = await start(here, vendor, "a", container(vendor, "main"))
            assert assigned(here, vendor, "a") in known
        said = inside(here, vendor, edits, "fill", "500")
        assert said["code"] == vendor.out_of_memory
        assert 7 <= said["pieces"] <= 8


@in_loop
async def test_a_pod_of_a_whole_card_gets_the_card_and_no_library(vendor: Vendor, tmp_path: Path) -> None:
    async with node(vendor, tmp_path) as here:
        await here.start()
        whole = await start(here, vendor, "a", container(vendor, "main", memory_mib=0))
        assert "/etc/ld.so.preload" not in {mount["containerPath"] for mount in whole.get("mounts", ())}
        part = await start(here, vendor, "b", container(vendor, "main"))
        assert "/etc/ld.so.preload" in {mount["containerPath"] for mount in part["mounts"]}
        nodes = [item["path"] for item in whole.get("deviceNodes", ())]
        index = next(card.index for card in vendor.file.report().devices if card.uuid == assigned(here, vendor, "a"))
        assert nodes == [path.format(index=index, render=128 + index) for path in vendor.device_nodes]


@pytest.mark.parametrize("vendor", [vendor for vendor in VENDORS if vendor.health], ids=str, indirect=True)
@in_loop
async def test_a_sick_card_is_withdrawn_and_comes_back_without_a_restart(
    vendor: Vendor, host: Host, tmp_path: Path
) -> None:
    async with node(vendor, tmp_path) as here:
        await here.start(health=HealthRules(recovery_s=0))
        uuid = vendor.file.report().devices[1].uuid
        host = attrs.evolve(host, state=Path(here.environ["HAMI_FAKE_STATE"]))
        await asyncio.to_thread(host.control, "hami_fake_set_health", 1, 3)
        await here.agent.refresh()
        await until(lambda: sick(here) == {uuid}, patience_s=60)
        await asyncio.to_thread(host.control, "hami_fake_set_health", 1, 0)
        await here.agent.refresh()
        await here.agent.refresh()
        await until(lambda: not sick(here), patience_s=60)
