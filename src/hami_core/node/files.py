"""Files on the host that containers use, and when they go.

    <root>/lib/<vendor>/<version>/       the isolation library and ld.so.preload, never changed once there
    <root>/containers/<uid>_<container>/<family>/
        limits   what the container may use; root's, read-only
        region   what its processes share
        record   whose this is
        ...      files of the vendor's own, read-only

A running container maps the library that it was started with, so an upgrade makes a new version beside the old one.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath

import attrs
import msgspec

from hami_core.behaviour import MadeInstance, WantedInstance
from hami_core.errors import HamiError

LIMITS = "limits"
REGION = "region"
PRELOAD = "ld.so.preload"

_RECORD = "record"
_OWN = frozenset({LIMITS, REGION, _RECORD})
_FOLDER = 0o755
_LIBRARY = 0o555
_READ_ONLY = 0o444
_SHARED = 0o666  # a container's processes may run as anyone
_DIGITS = 16


class BadFileName(HamiError):
    """A vendor's plugin names a file outside the container's folder, or one that is the agent's."""


class Record(msgspec.Struct, kw_only=True, frozen=True):
    """Whose folder this is: enough to take everything back when the pod is gone."""

    namespace: str
    pod: str
    uid: str
    container: str
    family: str
    cdi_device: str
    library: str  # the version's folder; empty where the container runs without it
    partitions: tuple[MadeInstance, ...] = ()  # made for it, and removed when it is gone
    wanted: tuple[WantedInstance, ...] = ()  # asked for, and not known to be made yet


@attrs.frozen(kw_only=True)
class ContainerFolder:
    """The folder of one container and family."""

    path: Path

    @property
    def limits(self) -> Path:
        """The limits file."""
        return self.path / LIMITS

    @property
    def region(self) -> Path:
        """The region."""
        return self.path / REGION


class NodeFiles:
    """The tree under `root`."""

    def __init__(self, root: Path) -> None:
        self._lib = root / "lib"
        self._containers = root / "containers"

    def install(self, vendor: str, library: Path) -> Path:
        """Put a library in place, unless this very content is there already; return where it is.

        Raises:
            OSError: the source cannot be read, or the place cannot be written.
        """
        content = library.read_bytes()
        folder = self._lib / vendor / hashlib.sha256(content).hexdigest()[:_DIGITS]
        place = folder / library.name
        if folder.is_dir():
            return place
        folder.parent.mkdir(mode=_FOLDER, parents=True, exist_ok=True)
        draft = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}")
        draft.mkdir(mode=_FOLDER)
        try:
            _write(draft / library.name, content, _LIBRARY)
            _write(draft / PRELOAD, f"{place}\n".encode(), _READ_ONLY)
            try:
                draft.rename(folder)
            except OSError:
                # Another agent was first; its content is the same, for the name is made from it.
                if not folder.is_dir():
                    raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return place

    def folder(self, uid: str, container: str, family: str) -> ContainerFolder:
        """Where the files of a container are, made or not."""
        return ContainerFolder(path=self._containers / f"{uid}_{container}" / family)

    def make(self, record: Record) -> ContainerFolder:
        """Make a container's folder with an empty region; what is there already stays, for processes may use it.

        Raises:
            OSError: it cannot be made.
        """
        made = self.folder(record.uid, record.container, record.family)
        made.path.mkdir(mode=_FOLDER, parents=True, exist_ok=True)
        # The library fills an empty region; a file must be there for the runtime to mount it.
        descriptor = os.open(made.region, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, _SHARED)
        try:
            os.fchmod(descriptor, _SHARED)
        finally:
            os.close(descriptor)
        draft = made.path / f".{_RECORD}.{secrets.token_hex(8)}"
        _write(draft, msgspec.json.encode(record), _READ_ONLY)
        draft.replace(made.path / _RECORD)
        return made

    def records(self) -> Iterator[Record]:
        """Whom there are folders for, in the order of their names. One that cannot be read is left alone."""
        for file in sorted(self._containers.glob(f"*/*/{_RECORD}")):
            try:
                record = msgspec.json.decode(file.read_bytes(), type=Record)
            except (OSError, msgspec.DecodeError):
                continue
            if self.folder(record.uid, record.container, record.family).path == file.parent:
                yield record

    def add(self, folder: ContainerFolder, files: Mapping[str, str]) -> None:
        """Put a vendor's files into a container's folder, each whole or not at all.

        Args:
            folder: of the container and family.
            files: text by path below the folder.

        Raises:
            BadFileName: one lies elsewhere, or is the agent's own.
            OSError: one cannot be written.
        """
        for name, content in files.items():
            parts = PurePosixPath(name).parts
            plain = bool(parts) and not any(part.startswith((".", "/")) for part in parts)
            if not plain or parts[0] in _OWN:
                raise BadFileName(
                    f'a container\'s file must be a path below its folder, such as "vdev/a"; got "{name}"'
                )
            place = folder.path.joinpath(*parts)
            place.parent.mkdir(mode=_FOLDER, parents=True, exist_ok=True)
            draft = place.with_name(f".{place.name}.{secrets.token_hex(8)}")
            _write(draft, content.encode(), _READ_ONLY)
            draft.replace(place)

    def added(self, record: Record) -> dict[str, str]:
        """A vendor's files in a container's folder, text by path below it; one that cannot be read is left out."""
        root = self.folder(record.uid, record.container, record.family).path
        found = {}
        for file in sorted(root.rglob("*")):
            parts = file.relative_to(root).parts
            if parts[0] in _OWN or any(part.startswith(".") for part in parts) or not file.is_file():
                continue
            try:
                found["/".join(parts)] = file.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                continue
        return found

    def remove(self, record: Record) -> None:
        """Remove a container's folder of one family."""
        path = self.folder(record.uid, record.container, record.family).path
        # Renamed first: a folder that is half removed must not look like one that is in use.
        grave = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            path.rename(grave)
        except FileNotFoundError:
            return
        shutil.rmtree(grave, ignore_errors=True)
        try:
            path.parent.rmdir()
        except OSError:
            return  # another family's folder is in it

    def prune(self, keep: Collection[str]) -> tuple[str, ...]:
        """Remove library versions that no container's record names and that `keep` does not; return what went."""
        used = {record.library for record in self.records()} | set(keep)
        gone = []
        for folder in sorted(self._lib.glob("*/*")):
            if str(folder) not in used and not folder.name.startswith("."):
                shutil.rmtree(folder, ignore_errors=True)
                gone.append(str(folder))
        return tuple(gone)


def _write(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fchmod(file.fileno(), mode)  # whatever the umask is
        os.fsync(file.fileno())
