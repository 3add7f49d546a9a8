"""Container Device Interface: the file that tells the container runtime what a device name stands for.

Facts: the CDI specification, version 0.6.0 (the first with annotations).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from hami_core.behaviour import ContainerEdits, Mount
from hami_core.node.ids import CDI_KIND

POD_UID = "hami.io/pod-uid"

_VERSION = "0.6.0"
_MODE = 0o644


def render(device: str, edits: ContainerEdits, *, pod_uid: str) -> bytes:
    """The spec of one device of `CDI_KIND`."""
    spec = {
        "cdiVersion": _VERSION,
        "kind": CDI_KIND,
        "annotations": {POD_UID: pod_uid},
        "devices": [{"name": device, "containerEdits": _edits(edits)}],
    }
    return msgspec.json.format(msgspec.json.encode(spec), indent=2) + b"\n"


def spec_file(folder: Path, device: str) -> Path:
    """Where the spec of a device lies."""
    return folder / f"{CDI_KIND.replace('/', '-')}-{device}.json"


def write(folder: Path, device: str, edits: ContainerEdits, *, pod_uid: str) -> Path:
    """Write the spec so that a runtime that reads meanwhile sees all of it or nothing; return the file.

    Raises:
        OSError: the folder cannot be written; an earlier file is then unchanged.
    """
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    file = spec_file(folder, device)
    # Runtimes read only *.json and *.yaml, so a draft is never taken for a spec.
    draft = folder / f".{file.stem}.{secrets.token_hex(8)}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(render(device, edits, pod_uid=pod_uid))
            os.fchmod(out.fileno(), _MODE)
        draft.replace(file)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return file


def withdraw(folder: Path, device: str, *, pod_uid: str | None = None) -> bool:
    """Remove a device's spec, if it is that of `pod_uid` (None: whoever's); whether there was one.

    kubelet gives freed ids out again, so the file may be another pod's by now.
    """
    file = spec_file(folder, device)
    if pod_uid is not None and owner(file) != pod_uid:
        return False
    try:
        file.unlink()
    except FileNotFoundError:
        return False
    return True


def owner(file: Path) -> str | None:
    """The uid of the pod that a spec was written for; None where there is no such file, or it is not ours."""
    try:
        spec = msgspec.json.decode(file.read_bytes())
        return str(spec["annotations"][POD_UID])
    except (OSError, msgspec.DecodeError, KeyError, TypeError):
        return None


def _edits(edits: ContainerEdits) -> Mapping[str, Any]:
    parts = {
        "env": [f"{name}={value}" for name, value in sorted(edits.env.items())],
        "mounts": [_mount(mount) for mount in edits.mounts],
        "deviceNodes": [{"path": path, "permissions": rights} for path, rights in edits.device_nodes],
    }
    return {name: entries for name, entries in parts.items() if entries}


def _mount(mount: Mount) -> Mapping[str, Any]:
    options = ["ro" if mount.read_only else "rw", "nosuid", "nodev", "bind"]
    return {"hostPath": mount.host_path, "containerPath": mount.container_path, "options": options}
