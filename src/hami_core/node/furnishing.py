"""Everything one container needs to use its share: folder, limits file, library, and the edits that name them."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from hami_core.behaviour import AllocationContext, ContainerEdits, MadeInstance, Mount, WantedInstance
from hami_core.isolation.limits import limits_of
from hami_core.node.files import PRELOAD, NodeFiles, Record
from hami_core.node.sharing import NodeSharing
from hami_core.packaged import package_of, packaged

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hami_core.model import Device
    from hami_core.node.assignment import Assignment
    from hami_core.node.settings import NodeSettings
    from hami_core.registry import LoadedFamily, Registry

ISOLATION = "hami.io/isolation"
"""On pods: ``on`` holds a container of a whole card too, ``off`` asks to go without where the node allows that."""

_PRELOAD_FILE = "/etc/ld.so.preload"
_MOST_PRIORITY = 1


class Furnisher:
    """Makes the files of containers.

    Args:
        registry: the families, with their libraries.
        settings: where files are, and which containers go without the library.
        sharing: how cards are shared here; None: as the settings say alone.
    """

    def __init__(self, registry: Registry, settings: NodeSettings, sharing: NodeSharing | None = None) -> None:
        self._sharing = NodeSharing(settings) if sharing is None else sharing
        self.files = NodeFiles(settings.paths.files)
        self._registry = registry
        self._settings = settings
        self._one = threading.Lock()

    def furnish(
        self,
        assignment: Assignment,
        devices: Iterable[Device],
        *,
        cdi_device: str,
        partitions: tuple[MadeInstance, ...] = (),
    ) -> ContainerEdits:
        """Make a container's files and return its edits. Doing it again changes nothing but the limits' inode.

        With `partitions` the driver holds the container to them, so that it needs no library.

        Raises:
            NotInstalled: the vendor's isolation library is missing.
            BadFileName: the plugin names a file that it must not write.
            OSError: the files cannot be written.
        """
        loaded = self._registry.family(assignment.family)
        assert loaded.allocate is not None, "only families that allocate here are served"
        here = {device.uuid: device for device in devices}
        untouched = bool(partitions) or self._untouched(loaded, assignment, here)
        library = None if untouched else self.library(loaded)
        folder_of_library = "" if library is None else str(library.parent)
        record = _record(assignment, cdi_device, library=folder_of_library, partitions=partitions)
        folder = self.files.make(record)
        # What the vendor reads in others' files stays true until its own are there.
        with self._one:
            context = self._context(loaded, assignment, here, record, library)
            edits = loaded.allocate(context)
            self.files.add(folder, edits.files)
        if untouched:
            return _card_only(edits, loaded, folder.path)
        limits_of(context, cores_elsewhere=edits.cores_elsewhere).write(folder.limits)
        return attrs.evolve(edits, mounts=self._mounts(edits, folder.path, folder.limits, library))

    def announce(self, assignment: Assignment, *, cdi_device: str, wanted: tuple[WantedInstance, ...]) -> None:
        """Write down which partitions will be made for a container; nothing where its record names them already.

        Raises:
            OSError: it cannot be written.
        """
        record = _record(assignment, cdi_device, wanted=wanted)
        mine = (record.uid, record.container, record.family)
        known = (other for other in self.files.records() if (other.uid, other.container, other.family) == mine)
        if not any(other.partitions for other in known):
            self.files.make(record)

    def _context(
        self,
        loaded: LoadedFamily,
        assignment: Assignment,
        here: Mapping[str, Device],
        record: Record,
        library: Path | None,
    ) -> AllocationContext:
        folder = self.files.folder(record.uid, record.container, record.family)
        sharing = self._sharing.of(loaded.family)
        mine = (record.uid, record.container)
        others = (other for other in self.files.records() if other.family == record.family)
        return AllocationContext(
            shares=assignment.shares,
            devices=here,
            limits_file=folder.limits,
            region_file=folder.region,
            priority=self._priority(loaded, assignment),
            core_policy=sharing.core_policy,
            oversubscribe=sharing.oversubscribe,
            files=self.files.added(record),
            others=tuple(self.files.added(other) for other in others if (other.uid, other.container) != mine),
            pod_annotations=assignment.pod.annotations,
            settings={} if library is None else {"library": library, "log_level": sharing.log_level},
        )

    def library(self, loaded: LoadedFamily) -> Path | None:
        """The isolation library of a family, in place on the host; None for a family that has none.

        Raises:
            NotInstalled: it should be in the vendor's package and is not.
            OSError: it cannot be put in place.
        """
        isolation = loaded.family.isolation
        if isolation is None:
            return None
        return self.files.install(loaded.family.vendor, packaged(package_of(loaded, self._registry), isolation.library))

    def _mounts(self, edits: ContainerEdits, folder: Path, limits: Path, library: Path | None) -> tuple[Mount, ...]:
        """The edits' mounts, with the folder in the place of the limits file.

        A mounted file stays the one it was when another is renamed over it; through the folder new limits are seen.
        """
        whole = Mount(host_path=str(folder), container_path=str(folder))
        kept = tuple(mount for mount in edits.mounts if mount.container_path != str(limits))
        if library is None:
            return (whole, *kept)
        return (whole, *kept, Mount(host_path=str(library.parent / PRELOAD), container_path=_PRELOAD_FILE))

    def _untouched(self, loaded: LoadedFamily, assignment: Assignment, here: Mapping[str, Device]) -> bool:
        """Whether the container goes without the library: it holds all of its cards, or its pod may opt out."""
        asked = assignment.pod.annotations.get(ISOLATION, "")
        if asked == "on":
            return False
        if asked == "off" and self._settings.opt_out:
            return True
        if not self._settings.whole_device_untouched or self._sharing.of(loaded.family).oversubscribe:
            return False
        return all(share.memory_mib >= here[share.uuid].memory_mib for share in assignment.shares)

    def _priority(self, loaded: LoadedFamily, assignment: Assignment) -> int | None:
        asked = str(assignment.container.asked(loaded.family.resources.priority) or "")
        return min(int(asked), _MOST_PRIORITY) if asked.isascii() and asked.isdigit() else None


def _record(
    assignment: Assignment,
    cdi_device: str,
    *,
    library: str = "",
    partitions: tuple[MadeInstance, ...] = (),
    wanted: tuple[WantedInstance, ...] = (),
) -> Record:
    return Record(
        namespace=assignment.pod.namespace,
        pod=assignment.pod.name,
        uid=assignment.pod.uid,
        container=assignment.container.name,
        family=assignment.family,
        cdi_device=cdi_device,
        library=library,
        partitions=partitions,
        wanted=wanted,
    )


def _card_only(edits: ContainerEdits, loaded: LoadedFamily, folder: Path) -> ContainerEdits:
    """What gives the cards, without what holds to a share of them: only the visible variables, none of our files."""
    isolation = loaded.family.isolation
    if isolation is None:
        return edits
    names = {isolation.visible_env, isolation.runtime_env}
    return attrs.evolve(
        edits,
        env={name: value for name, value in edits.env.items() if name in names},
        mounts=tuple(mount for mount in edits.mounts if not Path(mount.host_path).is_relative_to(folder)),
    )
