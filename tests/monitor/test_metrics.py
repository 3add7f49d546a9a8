"""What Prometheus reads: the values, the labels, and that nothing outlives what it speaks of."""

from __future__ import annotations

import os
import urllib.request
from functools import partial
from pathlib import Path

import attrs
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.monitor.world import GPU, MIB, Charged, container, sight, write_region

from hami_core.behaviour import MadeInstance
from hami_core.errors import ProbeFailed
from hami_core.isolation.limits import DeviceLimits, LimitsFile
from hami_core.kube.settings import Listen
from hami_core.local.sight import Sight
from hami_core.model import Partition, PartitionPlacement
from hami_core.monitor.containers import ContainerFolders, PodName
from hami_core.monitor.devices import DeviceWatch
from hami_core.monitor.exporter import Exporter, all_specs
from hami_core.monitor.feedback import Feedback
from hami_core.monitor.monitor import Monitor
from hami_core.monitor.serving import CannotListen, serve
from hami_core.node.files import NodeFiles, Record

DEAD = Charged(pid=os.getpid(), start_ticks=1, classes={"buffer": 500 * MIB})


class Node:
    """A node with a monitor whose sources the test holds."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sights: list[Sight | Exception] = [sight()]
        self.pods: dict[str, PodName] = {"uid-1": PodName(namespace="team", name="train")}
        self.devices = DeviceWatch([self._sight])
        source = ContainerFolders(root, node="node-a", names=self.pods.get)
        self.monitor = Monitor([source], self.devices, feedback=Feedback())
        self.exporter = Exporter(self.monitor, legacy=True)

    def _sight(self) -> Sight:
        found = self.sights[-1]
        if isinstance(found, Exception):
            raise found
        return found

    def samples(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """Every sample by name and labels, as a scrape over HTTP gives them."""
        with (
            serve(self.exporter.registry(), Listen(host="127.0.0.1", port=0)) as url,
            urllib.request.urlopen(url) as answer,
        ):
            text = answer.read().decode()
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def values(self, name: str, **labels: str) -> list[float]:
        """The values of a metric where it has these labels."""
        wanted = labels.items()
        return [value for (found, has), value in self.samples().items() if found == name and wanted <= has]


@pytest.fixture
def node(tmp_path: Path) -> Node:
    made = Node(tmp_path)
    made.devices.look()
    return made


SHARE = {"node": "node-a", "namespace": "team", "pod": "train", "container": "main", "device_uuid": GPU}


def test_a_share_shows_its_limit_its_use_by_class_and_what_it_waited(node: Node) -> None:
    held = Charged(classes={"buffer": 300 * MIB, "context": 200 * MIB})
    folder = container(node.root)
    write_region(folder / "region", held, DEAD, busy_ns=2_500_000_000, throttled_ns=1_500_000_000, refused_count=3)
    assert node.values("hami_share_memory_limit_bytes", **SHARE) == [1000 * MIB]
    assert node.values("hami_share_memory_used_bytes", **SHARE) == [500 * MIB]
    assert node.values("hami_share_memory_reserved_bytes", **SHARE, **{"class": "context"}) == [200 * MIB]
    assert node.values("hami_share_core_limit_ratio", **SHARE) == [0.3]
    assert node.values("hami_share_busy_seconds_total", **SHARE) == [2.5]
    assert node.values("hami_share_throttled_seconds_total", **SHARE) == [1.5]
    assert node.values("hami_share_refused_allocations_total", **SHARE) == [3]
    assert node.values("hami_isolation_processes", pod="train") == [1]
    assert node.values("hami_isolation_active", pod="train") == [1]


def test_hamis_names_carry_hamis_labels_and_percent(node: Node) -> None:
    write_region(container(node.root) / "region", Charged(classes={"buffer": 300 * MIB, "context": 200 * MIB}))
    place = {
        "namespace": "team", "pod": "train", "container": "main", "vdevice_index": "0", "device_uuid": GPU,
        "zone": "vGPU",
    }  # fmt: skip
    samples = node.samples()
    assert samples["hami_vgpu_memory_used_bytes", frozenset(place.items())] == 500 * MIB
    assert samples["hami_vgpu_memory_context_bytes", frozenset(place.items())] == 200 * MIB
    assert samples["hami_vgpu_memory_buffer_bytes", frozenset(place.items())] == 300 * MIB
    host = {
        "node": "node-a",
        "device_index": "0",
        "device_uuid": GPU,
        "device_type": "NVIDIA-NVIDIA A40",
        "zone": "vGPU",
    }
    assert samples["hami_host_gpu_utilization_ratio", frozenset(host.items())] == 40
    old = {
        "podnamespace": "team", "podname": "train", "ctrname": "main", "vdeviceid": "0", "deviceuuid": GPU,
        "zone": "vGPU",
    }  # fmt: skip
    assert samples["vGPU_device_memory_usage_in_bytes", frozenset(old.items())] == 500 * MIB


def test_old_names_are_there_only_when_asked_for(node: Node) -> None:
    quiet = Exporter(Monitor([], node.devices))
    names = {family.name for family in quiet.collect()}
    assert "hami_host_gpu_memory_used_bytes" in names
    assert "HostGPUMemoryUsage" not in names


def test_series_of_a_pod_end_with_it(node: Node) -> None:
    write_region(container(node.root) / "region", Charged())
    assert node.values("hami_share_memory_used_bytes", pod="train") == [0]
    del node.pods["uid-1"]
    assert [name for (name, labels) in node.samples() if ("pod", "train") in labels] == []


def test_a_dead_process_is_no_isolation_and_holds_nothing(node: Node) -> None:
    write_region(container(node.root) / "region", DEAD)
    assert node.values("hami_isolation_active", pod="train") == [0]
    assert node.values("hami_share_memory_used_bytes", pod="train") == [0]


def test_a_container_that_never_used_its_device_is_not_isolated_yet(node: Node) -> None:
    container(node.root)
    assert node.values("hami_isolation_active", pod="train") == [0]
    assert node.values("hami_isolation_heartbeat_age_seconds", pod="train") == []


def test_a_library_that_lost_nvml_is_degraded_and_one_that_never_asked_says_nothing(node: Node) -> None:
    region = container(node.root) / "region"
    degraded = partial(node.values, "hami_isolation_degraded", pod="train")
    write_region(region, Charged())
    assert degraded() == []
    write_region(region, Charged(management=1), Charged())
    assert degraded() == [0]
    write_region(region, Charged(management=1), Charged(management=2))
    assert degraded() == [1]
    write_region(region, Charged(management=1), attrs.evolve(DEAD, management=2))
    assert degraded() == [0], "what a dead process knew counts no more"
    write_region(region, Charged(management=77))
    assert degraded() == [], "a word that nobody knows"


def test_what_the_driver_counts_beyond_the_books_is_drift(node: Node) -> None:
    node.sights.append(sight(used_mib=900, process_memory_mib={os.getpid(): 650}))
    node.devices.look()
    write_region(container(node.root) / "region", Charged(classes={"buffer": 600 * MIB}))
    assert node.values("hami_device_memory_drift_bytes", device_uuid=GPU) == [300 * MIB]
    assert node.values("hami_share_memory_drift_bytes", device_uuid=GPU) == [50 * MIB]


@pytest.mark.parametrize(
    "form", ["0::/kubepods/besteffort/pod{}/c1\n", "0::/kubepods.slice/kubepods-pod{}.slice/cri\n"]
)
def test_memory_of_a_pods_process_without_the_library_is_a_bypass(node: Node, form: str) -> None:
    uid = "0a1b-2c3d"
    spelt = uid if "besteffort" in form else uid.replace("-", "_")
    folder = container(node.root, f"{uid}_main")
    node.pods[uid] = PodName(namespace="team", name="sly")
    write_region(folder / "region", Charged(classes={"buffer": 5 * MIB}))
    node.sights.append(sight(process_memory_mib={os.getpid(): 5, 70001: 40, 70002: 80}))
    node.devices.look()
    groups = {70001: form.format(spelt), 70002: form.format(f"{spelt}4"), os.getpid(): form.format(spelt)}
    picture = attrs.evolve(node.monitor.picture(), cgroup=lambda pid: groups[pid])
    (bypass,) = picture.bypasses()
    assert (bypass.workload.owner.pod, bypass.memory_bytes) == ("sly", 40 * MIB)


def test_a_container_that_may_do_without_the_library_is_neither_unisolated_nor_a_bypass(node: Node) -> None:
    record = '{"namespace": "team", "pod": "train", "uid": "uid-1", "library": ""}'
    (container(node.root) / "record").write_text(record)
    assert node.values("hami_isolation_active", pod="train") == []
    assert node.values("hami_isolation_bypass_bytes") == []
    assert node.values("hami_share_memory_limit_bytes", pod="train") == [1000 * MIB]


def test_a_container_without_library_and_limits_as_the_agent_makes_it_is_no_problem(node: Node) -> None:
    record = Record(
        namespace="team", pod="train", uid="uid-1", container="main", family="NVIDIA", cdi_device="", library=""
    )  # fmt: skip
    NodeFiles(node.root).make(record)
    assert node.values("hami_isolation_unreadable", pod="train") == [0]
    assert node.values("hami_isolation_active", pod="train") == []


def test_mig_instances_of_a_container_are_named_as_the_driver_names_them(node: Node) -> None:
    placement = PartitionPlacement(start=4, size=2)
    made = MadeInstance(
        uuid="MIG-1", device_uuid=GPU, gpu_instance=3, compute_instance=0,
        partition=Partition(profile="2g.10gb", placement=placement),
    )  # fmt: skip
    record = Record(
        namespace="team", pod="train", uid="uid-1", container="main", family="NVIDIA", cdi_device="", library="",
        partitions=(made,),
    )  # fmt: skip
    NodeFiles(node.root).make(record)
    place = {
        "namespace": "team", "pod": "train", "container": "main", "vdevice_index": "0", "device_uuid": GPU,
        "zone": "vGPU", "mig_uuid": "MIG-1", "profile": "2g.10gb", "gpu_instance_id": "3", "compute_instance_id": "0",
    }  # fmt: skip
    assert node.samples()["hami_mig_device_info", frozenset(place.items())] == 1
    assert node.values("MigInfo", podname="train", ctrname="main", instanceid="3") == [1]
    del node.pods["uid-1"]
    assert node.values("hami_mig_device_info") == []


def test_what_a_driver_would_not_say_has_no_sample(node: Node) -> None:
    node.sights.append(sight(used_mib=None, core_busy_percent=None))
    node.devices.look()
    for name in ("hami_device_memory_used_bytes", "hami_device_memory_drift_bytes", "hami_device_utilization_ratio"):
        assert node.values(name) == []
    assert node.values("hami_device_memory_total_bytes") == [46068 * MIB]


@pytest.mark.parametrize("failure", ["report", "error"])
def test_a_driver_that_fails_keeps_the_devices_as_they_were_and_says_so(node: Node, failure: str) -> None:
    told = Sight(machine=sight().machine, failed={"nvidia": "hangs"})
    node.sights.append(told if failure == "report" else ProbeFailed("hangs"))
    node.devices.look()
    assert node.values("hami_device_memory_total_bytes", device_uuid=GPU) == [46068 * MIB]
    assert 0 in node.values("hami_monitor_probe_up")


def test_utilisation_is_what_was_used_between_two_looks(node: Node) -> None:
    folder = container(node.root)
    write_region(folder / "region", busy_ns=0)
    node.monitor.tick()
    assert node.values("hami_share_utilization_ratio") == []
    write_region(folder / "region", busy_ns=1)
    node.monitor.tick()
    (ratio,) = node.values("hami_share_utilization_ratio")
    assert 0 < ratio < 1
    assert node.values("hami_container_device_utilization_ratio") == [100 * ratio]


def test_a_damaged_region_costs_its_own_pod_its_numbers_only(node: Node) -> None:
    node.pods["uid-2"] = PodName(namespace="team", name="bad")
    write_region(container(node.root) / "region", Charged(classes={"buffer": 5}))
    (container(node.root, "uid-2_main") / "region").write_bytes(b"\xff" * 5000)
    assert node.values("hami_isolation_unreadable", pod="bad") == [1]
    assert node.values("hami_isolation_unreadable", pod="train") == [0]
    assert node.values("hami_share_memory_used_bytes", pod="train") == [5]


def test_names_from_a_container_cannot_forge_samples(node: Node) -> None:
    uuid = 'x"}\\nfake'
    folder = container(node.root)
    (folder / "limits").unlink()
    LimitsFile(devices=(DeviceLimits(uuid=uuid),)).write(folder / "limits")
    assert node.values("hami_share_memory_used_bytes", device_uuid=uuid) == [0]


def test_a_source_that_fails_is_counted_and_the_scrape_goes_on(node: Node) -> None:
    class Broken:
        def look(self) -> list[object]:
            raise OSError("disk on fire")

    broken = Exporter(Monitor([Broken()], node.devices))  # type: ignore[list-item]
    found = {sample.name: sample.value for family in broken.collect() for sample in family.samples}
    assert found["hami_monitor_sources_failed_total"] == 1


def test_a_taken_address_is_one_line(node: Node) -> None:
    registry = node.exporter.registry()
    with serve(registry, Listen(host="127.0.0.1", port=0)) as url:
        port = int(url.split(":")[2].split("/")[0])
        with (
            pytest.raises(CannotListen, match="--metrics-bind-address"),
            serve(registry, Listen(host="127.0.0.1", port=port)),
        ):
            pass


def test_every_metric_is_declared_once_in_base_units() -> None:
    names = [spec.name for spec in all_specs()]
    assert len(names) == len(set(names))
    for spec in all_specs():
        assert spec.counter == spec.name.endswith("_total"), spec.name
        assert spec.says.endswith("."), spec.name
