"""Other vendors' cards on the real node: a simulated machine each, through the same agent, to a process inside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs
import pytest
from tests.cluster.install import Installation
from tests.cluster.processes import wait_for
from tests.kubelet.images import WORKLOAD
from tests.kubelet.node_processes import NVIDIA, NodeProcesses, Simulation
from tests.kubelet.real_node import HANDLER, RealNode
from tests.kubelet.world import World

from hami_core.machine_file import read_machine
from hami_core.registry import load_registry


def _forget_cards(node: RealNode) -> None:
    """Remove what agents of other machines registered: cards that nobody allocates any more would ask for the lock."""
    told = node.node()["metadata"]["annotations"]
    left = [key for key in told if "/node-" in key and not key.endswith("-lock")]
    node.plane.api.patch(node.manifest, {"metadata": {"annotations": dict.fromkeys(left)}})


@attrs.frozen(kw_only=True)
class Vendor:
    """A vendor's machine, and one container's share of it."""

    simulation: Simulation
    family: str
    limits: Mapping[str, str]
    share_mib: int
    take_mib: int  # what fits once, and not twice
    out_of_memory: int
    devices: tuple[str, ...]  # what its driver makes in /dev, beside one for each card
    card_device: str
    annotations: Mapping[str, str] = attrs.field(factory=dict)

    def __str__(self) -> str:
        return self.family


VENDORS = [
    Vendor(
        simulation=Simulation(machine="mlu370x4", package="hami_mlu", triggers=("CAMBRICON_VISIBLE_DEVICES",)),
        family="MLU",
        limits={
            "cambricon.com/vmlu": "1",
            "cambricon.com/mlu.smlu.vmemory": "12",
            "cambricon.com/mlu.smlu.vcore": "30",
        },
        share_mib=3072,
        take_mib=2000,
        out_of_memory=100100,
        devices=("/dev/cambricon_ctl",),
        card_device="/dev/cambricon_dev{index}",
    ),
    Vendor(
        simulation=Simulation(machine="ascend910b3x8", package="hami_ascend", triggers=("ASCEND_VISIBLE_DEVICES",)),
        family="Ascend910B3",
        limits={"huawei.com/Ascend910B3": "1", "huawei.com/Ascend910B3-memory": "16384"},
        share_mib=16384,
        take_mib=10000,
        out_of_memory=207001,
        annotations={"huawei.com/vnpu-mode": "hami-core"},
        devices=("/dev/davinci_manager", "/dev/devmm_svm", "/dev/hisi_hdc"),
        card_device="/dev/davinci{index}",
    ),
]


@pytest.fixture(params=VENDORS, ids=str)
def vendor(request: pytest.FixtureRequest) -> Vendor:
    found: Vendor = request.param
    return found


@pytest.fixture
def elsewhere(
    vendor: Vendor, real_node: RealNode, processes: NodeProcesses, installation: Installation, world: World
) -> Iterator[World]:
    """The node with the vendor's cards in the place of NVIDIA's."""
    processes.agent.kill()
    _forget_cards(real_node)
    machine = read_machine(load_registry().machine_files[vendor.simulation.machine])
    cards = [vendor.card_device.format(index=card.index) for card in machine.report().devices]
    for device in (*vendor.devices, *cards):
        real_node.sandbox.make_device(device)
    theirs = NodeProcesses(real_node, installation, vendor.simulation)
    theirs.start_agent()
    world.processes = theirs
    yield world
    world.end_pods()
    theirs.agent.kill()
    _forget_cards(real_node)
    world.processes = processes
    real_node.set_driver(NVIDIA.driver())


def test_a_container_gets_the_vendors_devices_and_is_held_to_its_share(elsewhere: World, vendor: Vendor) -> None:
    take = vendor.take_mib
    container = {
        "name": "main",
        "image": WORKLOAD,
        "command": ["sh", "-c", f"ls /dev; exec workload {take} {take} {vendor.simulation.vendor}"],
        "resources": {"limits": dict(vendor.limits)},
    }
    resource = load_registry().family(vendor.family).family.resources.count
    wait_for("slots", lambda: int(elsewhere.node.node()["status"]["allocatable"].get(resource, 0)), timeout_s=30)
    pod = elsewhere.pod(
        "theirs", container, metadata={"annotations": dict(vendor.annotations)}, runtimeClassName=HANDLER
    )
    elsewhere.running(pod)

    said = elsewhere.said(pod, "main")
    assert said["total_mib"] == [vendor.share_mib]
    assert (said["took"], said["more"]) == (0, vendor.out_of_memory)
    assert elsewhere.now(pod)["metadata"]["annotations"]["hami.io/bind-phase"] == "success"
    (spec,) = elsewhere.processes.specs()
    nodes = [entry["path"] for entry in spec["devices"][0]["containerEdits"]["deviceNodes"]]
    listed = elsewhere.node.log(pod, "main")
    assert nodes
    assert {node.removeprefix("/dev/") for node in nodes} <= set(listed.split())
