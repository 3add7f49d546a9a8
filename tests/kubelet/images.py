"""Container images without a container engine: a folder as an OCI archive that `ctr images import` takes."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import re
import shutil
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAUSE = "hami.test/pause:1"
BUSYBOX = "hami.test/busybox:1"
WORKLOAD = "hami.test/workload:1"

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def build_images(folder: Path) -> list[Path]:
    """The archives of all images."""
    busybox = folder / "busybox"
    (busybox / "bin").mkdir(parents=True)
    shutil.copy(_found("busybox"), busybox / "bin/busybox")
    applets = subprocess.run(["busybox", "--list"], capture_output=True, text=True, check=True).stdout.split()
    for applet in set(applets) - {"busybox"}:
        (busybox / "bin" / applet).symlink_to("busybox")
    _skeleton(busybox)

    workload = folder / "workload"
    shutil.copytree(busybox, workload, symlinks=True)
    program = workload / "bin/workload"
    subprocess.run(["gcc", "-O1", "-Wall", "-Werror", "-o", program, HERE / "workload.c", "-ldl"], check=True)
    for library in _libraries(program):
        place = workload / library.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, place)
    return [
        archive(folder, PAUSE, busybox, ["/bin/sleep", "infinity"]),
        archive(folder, BUSYBOX, busybox, ["/bin/sh"]),
        archive(folder, WORKLOAD, workload, ["/bin/workload"]),
    ]


def archive(
    folder: Path, name: str, rootfs: Path, command: Sequence[str], env: Mapping[str, str] | None = None
) -> Path:
    """An OCI archive with one layer."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        tar.add(rootfs, arcname=".", filter=_root_owned)
    layer = gzip.compress(plain.getvalue(), compresslevel=1, mtime=0)
    blobs: dict[str, bytes] = {}

    def blob(kind: str, data: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        blobs[digest] = data
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    config = {
        "architecture": _ARCHITECTURES[platform.machine()],
        "os": "linux",
        "config": {"Cmd": list(command), "Env": ["PATH=/bin", *(f"{k}={v}" for k, v in (env or {}).items())]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(plain.getvalue()).hexdigest()}"]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob("config.v1+json", json.dumps(config).encode()),
        "layers": [blob("layer.v1.tar+gzip", layer)],
    }
    entry = blob("manifest.v1+json", json.dumps(manifest).encode())
    entry["annotations"] = {"io.containerd.image.name": name}
    made = folder / (re.sub(r"[^a-z0-9]+", "-", name) + ".tar")
    with tarfile.open(made, "w") as tar:
        _put(tar, "oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}).encode())
        _put(tar, "index.json", json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode())
        for digest, data in blobs.items():
            _put(tar, f"blobs/sha256/{digest}", data)
    return made


def _skeleton(root: Path) -> None:
    for name in ("etc", "tmp", "proc", "sys", "dev", "run", "var"):
        (root / name).mkdir()
    (root / "etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")


def _found(program: str) -> str:
    path = shutil.which(program)
    assert path is not None, f"{program} is not installed; run tests/kubelet/build.sh"
    return path


def _libraries(program: Path) -> list[str]:
    """What the program needs, with the loader, at their own paths."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return re.findall(r"(/\S+) \(0x", listed)


def _root_owned(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = "root"
    return info


def _put(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))
