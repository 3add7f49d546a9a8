"""Workloads of a Kubernetes node: a folder for each container that holds a share.

The node agent makes ``<hook path>/containers/<pod uid>_<container>/<family>/`` and removes it when the pod is gone; the
files may also lie one level higher. A container may be able to write there, so names and files are hostile input.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import attrs
import msgspec

from hami_core.behaviour import MadeInstance
from hami_core.errors import HamiError
from hami_core.isolation.untrusted import read_untrusted
from hami_core.monitor.workload import LIMITS, Owner, Workload, read_workload

_FOLDER = re.compile(r"(?P<pod>[0-9A-Za-z][0-9A-Za-z.-]{0,127})_(?P<container>[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)")
_RECORD = "record"
_MOST_RECORD_BYTES = 65536


@attrs.frozen(kw_only=True)
class PodName:
    """A pod by the names that people call it."""

    namespace: str
    name: str


class PodNames(Protocol):
    """Who a pod is. The kubelet's pod-resources or a watch of the node's pods can tell."""

    def __call__(self, uid: str) -> PodName | None:
        """The pod with this UID, or None when there is none any more: then its metrics end."""
        ...


class ContainerFolders:
    """The containers of one node that hold shares.

    Args:
        hook_path: HAMi's folder on the node; missing is empty, for the node agent makes it with the first pod.
        node: the node's name.
        names: tells who a pod is; None believes the agent's records, and calls a pod without one by its UID.
    """

    def __init__(self, hook_path: Path, *, node: str, names: PodNames | None = None) -> None:
        self._folder = hook_path / "containers"
        self._node = node
        self._names = names

    def look(self) -> Sequence[Workload]:
        """The containers of pods that are known, sorted by folder."""
        made = []
        for entry in _folders(self._folder):
            named = _FOLDER.fullmatch(entry.name)
            if named is None:
                continue
            for folder in _shares(entry):
                record = _read_record(named["pod"], folder)
                pod = self._pod(named["pod"], record)
                if pod is None:
                    continue
                owner = Owner(node=self._node, namespace=pod.namespace, pod=pod.name, container=named["container"])
                key = "/".join(("container", *folder.relative_to(self._folder).parts))
                meant = record is None or record.library != ""
                read = read_workload(key, owner, folder, limited=meant)
                parts = () if record is None else record.partitions
                made.append(attrs.evolve(read, pod_uid=named["pod"], library=meant, partitions=parts))
        return made

    def _pod(self, uid: str, record: _Record | None) -> PodName | None:
        if self._names is not None:
            return self._names(uid)
        if record is not None:
            return PodName(namespace=record.namespace, name=record.pod)
        return PodName(namespace="", name=uid)


def _shares(entry: Path) -> list[Path]:
    """The container's folder itself, if a limits file is in it, and else one for each family that it uses."""
    if (entry / LIMITS).is_symlink() or (entry / LIMITS).exists():
        return [entry]
    return [folder for folder in _folders(entry) if not folder.name.startswith(".")]


def _folders(parent: Path) -> list[Path]:
    """The real folders in `parent`, sorted; none where it is gone."""
    try:
        return [entry for entry in sorted(parent.iterdir()) if entry.is_dir() and not entry.is_symlink()]
    except FileNotFoundError:
        return []


def _read_record(uid: str, folder: Path) -> _Record | None:
    try:
        content = read_untrusted(folder / _RECORD, most_bytes=_MOST_RECORD_BYTES, what="record")
        record = None if content is None else msgspec.json.decode(content, type=_Record)
    except (HamiError, OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    return None if record is None or record.uid != uid else record


class _Record(msgspec.Struct, frozen=True):
    """What the node agent writes beside a limits file, as far as it is wanted here."""

    namespace: str
    pod: str
    uid: str
    library: str | None = None  # empty: the container runs without it
    partitions: tuple[MadeInstance, ...] = ()
