"""The machine that shares are taken of: this host, or a simulated one that exists only as a file."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

import attrs
import msgspec

from hami_core.errors import BadConfig, UnknownName
from hami_core.local.state import state_dir
from hami_core.packaged import package_of, packaged
from hami_core.registry import LoadedFamily, Registry

_DIGEST = 8  # hex digits; tells an edited machine file from the machine it was


class _MachineFile(msgspec.Struct, frozen=True):
    """What the local host reads of a machine file; the driver doubles read the rest."""

    name: str
    vendor: str


@attrs.frozen(kw_only=True)
class Machine:
    """A machine by name, the state folder of its leases, and for a simulated one its file and vendor."""

    name: str
    folder: Path
    simulated: bool = False
    file: Path | None = None
    vendor: str | None = None

    def simulation(self, registry: Registry) -> Mapping[str, str]:
        """Environment that puts the driver doubles of a simulated machine in the drivers' place; else empty.

        Raises:
            NotInstalled: the doubles of this vendor are not there.
        """
        if self.file is None:
            return {}
        folders = [
            packaged(package_of(family, registry), family.family.isolation.simulator_dir)
            for family in families_of(registry, self.vendor)
            if family.family.isolation is not None and family.family.isolation.simulator_dir
        ]
        searched = os.environ.get("LD_LIBRARY_PATH", "")
        environ = {
            "HAMI_FAKE_MACHINE": str(self.file),
            "LD_LIBRARY_PATH": os.pathsep.join([*dict.fromkeys(map(str, folders)), *([searched] if searched else [])]),
        }
        # Without leases there is nothing to share, and looking at a machine must not leave anything behind.
        if self.folder.is_dir():
            environ["HAMI_FAKE_STATE"] = str(self.folder / f"driver-state-{_build_of(folders)}")
        return environ


def this_host() -> Machine:
    """The machine this process runs on."""
    return Machine(name=socket.gethostname(), folder=state_dir() / "real")


def simulated(name: str, registry: Registry) -> Machine:
    """A simulated machine: the name of a shipped one, or the path of a machine file.

    Raises:
        UnknownName: neither a shipped machine nor a file.
        BadConfig: the file cannot be read or is not a machine.
        UnknownName: no installed plugin serves its vendor.
    """
    file = registry.machine_files.get(name)
    if file is None:
        file = Path(name).absolute()
        if not (name.endswith(".json") or "/" in name):
            raise UnknownName(kind="simulated machine", name=name, known=tuple(registry.machine_files))
    try:
        content = file.read_bytes()
    except OSError as err:
        raise BadConfig(file=str(file), problem=f"cannot be read: {err.strerror}") from err
    try:
        read = msgspec.json.decode(content, type=_MachineFile)
    except (msgspec.DecodeError, UnicodeDecodeError) as err:
        raise BadConfig(file=str(file), problem=f"is not a machine file: {err}") from err
    if read.vendor not in registry.vendors:
        raise UnknownName(kind=f"plugin for the vendor of {file}", name=read.vendor, known=tuple(registry.vendors))
    # Two files may carry one name, and a file may change; each of these is a machine with books of its own.
    label = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in read.name)
    folder = state_dir() / "simulated" / f"{label}-{hashlib.sha256(content).hexdigest()[:_DIGEST]}"
    return Machine(name=label, folder=folder, simulated=True, file=file, vendor=read.vendor)


def _build_of(folders: Iterable[Path]) -> str:
    """A word for this build of the driver doubles: another build may lay out its state differently."""
    digest = hashlib.sha256()
    for library in sorted(file for folder in folders for file in folder.iterdir()):
        info = library.stat()
        digest.update(f"{library.name} {info.st_size} {info.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:_DIGEST]


def families_of(registry: Registry, vendor: str | None) -> tuple[LoadedFamily, ...]:
    """Families of a vendor, or of all vendors, sorted by name."""
    return tuple(loaded for loaded in registry.families.values() if vendor in (None, loaded.family.vendor))


def has_doubles(registry: Registry, vendor: str | None) -> bool:
    """Whether a vendor's package brings doubles that answer its probe in the place of a simulated machine's driver."""
    isolations = [loaded.family.isolation for loaded in families_of(registry, vendor)]
    return any(
        isolation is not None and isolation.simulator_dir and isolation.simulated_probe for isolation in isolations
    )


def known_machines() -> tuple[Machine, ...]:
    """This host and the simulated machines that have ever had a lease here, by name."""
    folder = state_dir() / "simulated"
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    simulations = [Machine(name=entry.name.rpartition("-")[0], folder=entry, simulated=True) for entry in entries]
    return tuple(machine for machine in [this_host(), *simulations] if (machine.folder / "leases.db").is_file())
