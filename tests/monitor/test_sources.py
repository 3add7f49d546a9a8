"""Workloads are found where hosts put them, and no file in them can do harm."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.local.conftest import make_lease
from tests.monitor.world import GPU, MIB, Charged, container, limits, write_region

from hami_core.local.leases import Leases
from hami_core.local.machine import Machine
from hami_core.monitor.containers import ContainerFolders, PodName
from hami_core.monitor.leases import LocalLeases
from hami_core.monitor.workload import Owner, Workload, read_workload
from hami_core.node.files import NodeFiles, Record


def look(root: Path) -> list[Workload]:
    return list(ContainerFolders(root, node="node-a").look())


def test_a_container_is_its_pods_and_its_files(tmp_path: Path) -> None:
    folder = container(tmp_path)
    write_region(folder / "region", Charged(classes={"buffer": 5 * MIB}), busy_ns=7)
    named = ContainerFolders(tmp_path, node="node-a", names=lambda uid: PodName(namespace="team", name=f"pod-of-{uid}"))
    (workload,) = named.look()
    assert workload.owner == Owner(node="node-a", namespace="team", pod="pod-of-uid-1", container="main")
    (share,) = workload.shares()
    assert share.limits.memory_mib == 1000
    assert share.device is not None
    assert share.device.busy_ns == 7
    assert workload.problems == ()


def test_a_container_of_several_families_is_several_workloads_named_by_the_agents_records(tmp_path: Path) -> None:
    for family in ("DCU", "NVIDIA"):
        folder = tmp_path / "containers" / "uid-1_main" / family
        folder.mkdir(parents=True)
        limits().write(folder / "limits")
        (folder / "record").write_text('{"namespace": "team", "pod": "train", "uid": "uid-1", "more": 1}')
    found = look(tmp_path)
    assert [workload.key for workload in found] == ["container/uid-1_main/DCU", "container/uid-1_main/NVIDIA"]
    assert {workload.owner.pod for workload in found} == {"train"}


def test_what_the_node_agent_makes_is_found(tmp_path: Path) -> None:
    files = NodeFiles(tmp_path)
    record = Record(
        namespace="team", pod="train", uid="uid-1", container="main", family="NVIDIA", cdi_device="", library="/lib/1"
    )  # fmt: skip
    limits().write(files.make(record).limits)
    (workload,) = look(tmp_path)
    assert workload.owner == Owner(node="node-a", namespace="team", pod="train", container="main")
    assert (workload.problems, workload.library, workload.pod_uid) == ((), True, "uid-1")


def test_a_record_of_another_pod_is_not_believed(tmp_path: Path) -> None:
    folder = container(tmp_path)
    (folder / "record").write_text('{"namespace": "kube-system", "pod": "other", "uid": "uid-2"}')
    (workload,) = look(tmp_path)
    assert (workload.owner.namespace, workload.owner.pod) == ("", "uid-1")


def test_a_pod_that_nobody_knows_any_more_is_gone(tmp_path: Path) -> None:
    container(tmp_path)
    assert list(ContainerFolders(tmp_path, node="node-a", names=lambda _uid: None).look()) == []


def test_a_node_without_pods_has_nothing_to_watch(tmp_path: Path) -> None:
    assert look(tmp_path) == []


@pytest.mark.parametrize("name", ["no-separator", "uid_UPPER", "uid_", "_main", "uid_a b", "uid_main.tmp"])
def test_a_folder_that_is_no_containers_is_passed_over(tmp_path: Path, name: str) -> None:
    (tmp_path / "containers" / name).mkdir(parents=True)
    assert look(tmp_path) == []


def test_a_link_in_a_folders_place_is_not_followed(tmp_path: Path) -> None:
    real = container(tmp_path / "elsewhere")
    (tmp_path / "containers").mkdir()
    (tmp_path / "containers" / "uid-1_main").symlink_to(real)
    assert look(tmp_path) == []


@pytest.mark.parametrize("file", ["limits", "region"])
@pytest.mark.parametrize("what", ["link", "pipe", "folder", "large", "binary"])
def test_a_file_that_is_not_what_it_should_be_is_a_problem_of_its_workload_only(
    tmp_path: Path, file: str, what: str
) -> None:
    good = container(tmp_path, "uid-2_main")
    path = container(tmp_path) / file
    path.unlink(missing_ok=True)
    match what:
        case "link":
            path.symlink_to("/etc/passwd")
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "large":
            with path.open("wb") as made:
                made.truncate(1 << 40)
        case _:
            path.write_bytes(b"\xff\xfe\x00" * 100)
    bad, fine = look(tmp_path)
    assert len(bad.problems) == 1
    assert str(path) in bad.problems[0]
    assert (fine.folder, fine.problems) == (good, ())


@given(content=st.binary(max_size=400))
def test_no_limits_file_stops_the_look(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "limits").write_bytes(content)
    read = read_workload("x", Owner(node="", namespace="", pod="", container=""), folder)
    assert (read.limits is None) == bool(read.problems)


def test_leases_of_this_host_are_workloads_until_they_end(tmp_path: Path) -> None:
    lease = make_lease(command=("/usr/bin/train", "--fast"))
    books = Leases(tmp_path, in_use=lambda _folder: False)
    books.take(lambda _out: lease)
    folder = books.folder_of(lease.id)
    folder.mkdir()
    limits().write(folder / "limits")
    source = LocalLeases(lambda: (Machine(name="box", folder=tmp_path),))
    (workload,) = source.look()
    assert workload.owner == Owner(node="box", namespace="local", pod=lease.id, container="train")
    assert [share.limits.uuid for share in workload.shares()] == [GPU]
    books.release(lease.id)
    books.close()
    assert source.look() == []


def test_looking_for_leases_leaves_nothing_behind(tmp_path: Path) -> None:
    assert LocalLeases(lambda: (Machine(name="box", folder=tmp_path / "none"),)).look() == []
    assert list(tmp_path.iterdir()) == []
