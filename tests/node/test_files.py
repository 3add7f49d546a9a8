"""Files on the host: complete or not there, never changed under a container, gone with their pod."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from hami_core.behaviour import ContainerEdits, Mount
from hami_core.node import cdi
from hami_core.node.files import BadFileName, NodeFiles, Record


def record(uid: str = "u1", *, family: str = "NVIDIA", library: str = "") -> Record:
    return Record(namespace="team", pod="a", uid=uid, container="main", family=family, cdi_device="d", library=library)


def test_a_new_library_lies_beside_the_old_one_which_stays_as_it_was(tmp_path: Path) -> None:
    files, source = NodeFiles(tmp_path / "hami"), tmp_path / "lib.so"
    source.write_bytes(b"one")
    old = files.install("nvidia", source)
    inode = old.stat().st_ino
    source.write_bytes(b"two")
    new = files.install("nvidia", source)
    assert new != old
    assert (old.read_bytes(), old.stat().st_ino) == (b"one", inode)
    assert (new.parent / "ld.so.preload").read_text() == f"{new}\n"
    assert stat.S_IMODE(new.stat().st_mode) == 0o555


def test_installing_again_touches_nothing(tmp_path: Path) -> None:
    files, source = NodeFiles(tmp_path / "hami"), tmp_path / "lib.so"
    source.write_bytes(b"one")
    inode = files.install("nvidia", source).stat().st_ino
    assert files.install("nvidia", source).stat().st_ino == inode


def test_a_library_goes_when_no_container_names_it(tmp_path: Path) -> None:
    files, source = NodeFiles(tmp_path / "hami"), tmp_path / "lib.so"
    places = []
    for content in (b"used", b"unused", b"newest"):
        source.write_bytes(content)
        places.append(files.install("nvidia", source))
    used, unused, newest = (str(place.parent) for place in places)
    files.make(record(library=used))
    assert files.prune({newest}) == (unused,)
    files.remove(record())
    assert files.prune({newest}) == (used,)


def test_making_a_folder_again_keeps_the_region_that_processes_use(tmp_path: Path) -> None:
    files = NodeFiles(tmp_path)
    folder = files.make(record())
    folder.region.write_bytes(b"books")
    inode = folder.region.stat().st_ino
    assert files.make(record()).region.read_bytes() == b"books"
    assert folder.region.stat().st_ino == inode


def test_removing_one_family_leaves_the_other(tmp_path: Path) -> None:
    files = NodeFiles(tmp_path)
    files.make(record())
    files.make(record(family="DCU"))
    files.remove(record())
    assert [found.family for found in files.records()] == ["DCU"]
    files.remove(record(family="DCU"))
    assert list((tmp_path / "containers").iterdir()) == []


def test_a_record_that_is_not_one_is_left_alone(tmp_path: Path) -> None:
    files = NodeFiles(tmp_path)
    folder = files.make(record())
    (folder.path / "record").chmod(0o644)
    (folder.path / "record").write_text("{}")
    assert list(files.records()) == []
    assert folder.path.is_dir()


def test_a_region_that_was_made_a_link_is_not_followed(tmp_path: Path) -> None:
    files = NodeFiles(tmp_path / "hami")
    folder = files.make(record())
    folder.region.unlink()
    victim = tmp_path / "victim"
    victim.write_text("mine")
    victim.chmod(0o600)
    folder.region.symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        files.make(record())
    assert stat.S_IMODE(victim.stat().st_mode) == 0o600


EDITS = ContainerEdits(
    env={"B": "2", "A": "1"},
    mounts=(Mount(host_path="/h", container_path="/c"), Mount(host_path="/r", container_path="/r", read_only=False)),
    device_nodes=(("/dev/x", "rw"),),
)


def test_a_spec_is_what_the_container_device_interface_says(tmp_path: Path) -> None:
    file = cdi.write(tmp_path, "abc", EDITS, pod_uid="u1")
    assert file.name == "hami.io-share-abc.json"
    assert json.loads(file.read_text()) == {
        "cdiVersion": "0.6.0",
        "kind": "hami.io/share",
        "annotations": {"hami.io/pod-uid": "u1"},
        "devices": [
            {
                "name": "abc",
                "containerEdits": {
                    "env": ["A=1", "B=2"],
                    "mounts": [
                        {"hostPath": "/h", "containerPath": "/c", "options": ["ro", "nosuid", "nodev", "bind"]},
                        {"hostPath": "/r", "containerPath": "/r", "options": ["rw", "nosuid", "nodev", "bind"]},
                    ],
                    "deviceNodes": [{"path": "/dev/x", "permissions": "rw"}],
                },
            }
        ],
    }


def test_a_spec_is_withdrawn_only_for_the_pod_that_it_is_of(tmp_path: Path) -> None:
    cdi.write(tmp_path, "abc", EDITS, pod_uid="new")
    assert not cdi.withdraw(tmp_path, "abc", pod_uid="old")
    assert cdi.withdraw(tmp_path, "abc", pod_uid="new")
    assert not cdi.withdraw(tmp_path, "abc")
    assert list(tmp_path.iterdir()) == []


def test_a_spec_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = cdi.write(tmp_path, "abc", EDITS, pod_uid="u1")
    before = file.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fchmod", full)
    with pytest.raises(OSError, match="No space"):
        cdi.write(tmp_path, "abc", ContainerEdits(env={"A": "9"}), pod_uid="u2")
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_a_vendors_files_are_read_only_and_found_again(tmp_path: Path) -> None:
    files = NodeFiles(tmp_path)
    folder = files.make(record())
    files.add(folder, {"vdev/vdev0.conf": "enable: 1\n"})
    files.add(folder, {"vdev/vdev0.conf": "enable: 1\nmem: 3 MiB\n"})
    (folder.path / "limits").write_text("hami-limits 1\n")
    (folder.path / "vdev" / "odd").write_bytes(b"\xff")
    assert files.added(record()) == {"vdev/vdev0.conf": "enable: 1\nmem: 3 MiB\n"}
    assert stat.S_IMODE((folder.path / "vdev" / "vdev0.conf").stat().st_mode) == 0o444
    assert files.added(record("nobody")) == {}


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "a/../../x", "limits", "region/x", "record", ".x", "a/.b"])
def test_a_vendors_file_stays_in_its_folder_and_is_none_of_ours(tmp_path: Path, name: str) -> None:
    files = NodeFiles(tmp_path)
    folder = files.make(record())
    with pytest.raises(BadFileName, match="a path below its folder"):
        files.add(folder, {name: "x"})
