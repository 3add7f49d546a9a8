"""Files that a vendor's distribution carries inside its package: isolation library, driver doubles, machine files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from hami_core.errors import HamiError

if TYPE_CHECKING:
    from hami_core.registry import LoadedFamily, Registry


class NotInstalled(HamiError):
    """A file that belongs to an installed plugin is not there, mostly because its native part was not built."""


def package_of(loaded: LoadedFamily, registry: Registry) -> str:
    """Name of the import package that a family's plugin is in."""
    (module,) = (plugin.module for plugin in registry.manager.plugins if plugin.source == loaded.source)
    return str(getattr(module, "__name__", "")).partition(".")[0]


def machines_in(package: str) -> list[Path]:
    """The machine files that `package` ships in its folder ``machines``, by name."""
    # Through the loader, never by a folder's path: an editable install's package lies in two folders.
    inside = resources.files(package).joinpath("machines").iterdir()
    return sorted(Path(str(file)) for file in inside if file.name.endswith(".json"))


def packaged(package: str, relative: str, environ: Mapping[str, str] | None = None) -> Path:
    """The path of a file or folder inside `package`.

    ``HAMI_NATIVE_DIR`` names a build folder to search first, for work on the libraries themselves.

    Raises:
        NotInstalled: says what is missing and how to get it.
    """
    environ = os.environ if environ is None else environ
    places = [Path(str(resources.files(package).joinpath(relative)))]
    if environ.get("HAMI_NATIVE_DIR"):
        places.insert(0, Path(environ["HAMI_NATIVE_DIR"]).absolute() / relative)
    for place in places:
        if place.exists():
            return place
    cure = "install the package again with a C compiler at hand, or point HAMI_NATIVE_DIR at a build of native/"
    raise NotInstalled(f"package {package} carries no {relative}; {cure}")
