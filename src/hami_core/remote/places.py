"""Where plugins in processes of their own are found: sockets of vendors' agents, and files with their tables.

Environment: ``HAMI_PLUGIN_SOCKETS`` names the folder of sockets (default ``/var/lib/hami/plugins``),
``HAMI_PLUGIN_TABLES`` the folder of description files (default ``/etc/hami/plugins``).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

import attrs

from hami_core.errors import PluginFault

SOCKETS_ENV = "HAMI_PLUGIN_SOCKETS"
TABLES_ENV = "HAMI_PLUGIN_TABLES"
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""The word a plugin goes by: a DNS label, because it is a file name and the key of a ConfigMap."""

_SOCKETS = Path("/var/lib/hami/plugins")
_TABLES = Path("/etc/hami/plugins")
_ROOT = 0


@attrs.frozen(kw_only=True)
class Place:
    """One plugin by its name: where its agent would listen, and the file with its tables, where there is one."""

    name: str
    socket: Path
    table: Path | None = None

    def __str__(self) -> str:
        return str(self.socket if self.table is None else self.table)


def places(environ: Mapping[str, str]) -> tuple[Place, ...]:
    """The plugins that have a socket or a table here, by name. Folders that cannot be listed have none."""
    sockets, tables = _folder(environ, SOCKETS_ENV, _SOCKETS), _folder(environ, TABLES_ENV, _TABLES)
    there = {file.stem: file for file in _files(tables, ".json")}
    names = sorted({*there, *(file.stem for file in _files(sockets, ".sock"))})
    return tuple(Place(name=name, socket=sockets / f"{name}.sock", table=there.get(name)) for name in names)


def place_of(name: str, environ: Mapping[str, str]) -> Place:
    """The place of one plugin, whether or not anything is there."""
    sockets, tables = _folder(environ, SOCKETS_ENV, _SOCKETS), _folder(environ, TABLES_ENV, _TABLES)
    table = tables / f"{name}.json"
    return Place(name=name, socket=sockets / f"{name}.sock", table=table if table.is_file() else None)


def check_name(place: Place) -> None:
    """Raises PluginFault for a file whose name is no plugin's."""
    if not NAME.fullmatch(place.name):
        wanted = "a plugin's name is lower-case letters, digits and hyphens, 63 at most"
        raise PluginFault(plugin=f"{place}", problem=f"{wanted}; rename the file")


def check_socket(place: Place) -> None:
    """See that nobody but root or this user can have put the socket there: its answers become mounts of containers.

    Raises:
        PluginFault: it is missing, no socket, or somebody else could have replaced it.
    """
    folder = place.socket.parent
    for path, is_right, wanted in ((folder, stat.S_ISDIR, "a folder"), (place.socket, stat.S_ISSOCK, "a socket")):
        try:
            found = path.lstat() if path == place.socket else path.stat()
        except OSError as err:
            problem = f"{path} cannot be used: {err.strerror}; is the vendor's agent running?"
            raise PluginFault(plugin=place.name, problem=problem) from err
        if not is_right(found.st_mode):
            raise PluginFault(plugin=place.name, problem=f"{path} must be {wanted}")
        if found.st_uid not in (_ROOT, os.geteuid()):
            problem = f"{path} must belong to root or uid {os.geteuid()}; it belongs to uid {found.st_uid}"
            raise PluginFault(plugin=place.name, problem=problem)
        if path == folder and found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            mode = stat.S_IMODE(found.st_mode)
            problem = f"{path} must be writable by its owner only; its mode is {mode:04o} (run: chmod go-w {path})"
            raise PluginFault(plugin=place.name, problem=problem)


def _folder(environ: Mapping[str, str], variable: str, default: Path) -> Path:
    return Path(environ.get(variable) or default).absolute()


def _files(folder: Path, suffix: str) -> list[Path]:
    try:
        return [file for file in folder.iterdir() if file.suffix == suffix and not file.name.startswith(".")]
    except OSError:
        return []
