"""Print the folders of cuda.h and nvml.h, separated by a semicolon, for CMake.

They come from the PyPI packages nvidia-cuda-runtime and nvidia-nvml-dev, which are build requirements only. Exit
status 2 with one line that names what to install when either is missing.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

PACKAGES = {"cuda.h": "nvidia-cuda-runtime>=13,<14", "nvml.h": "nvidia-nvml-dev>=13,<14"}


def find(header: str, roots: list[Path]) -> Path | None:
    """Folder that holds ``header`` under one of the ``nvidia`` namespace folders, newest toolkit first."""
    folders = [path.parent for root in roots for path in root.glob(f"*/include/{header}")]
    return max(folders, key=str, default=None)


def main() -> int:
    """Print both folders, or say what is missing."""
    spec = importlib.util.find_spec("nvidia")
    roots = [Path(entry) for entry in (spec.submodule_search_locations or ())] if spec else []
    found: list[str] = []
    for header, package in PACKAGES.items():
        folder = find(header, roots)
        if folder is None:
            print(f"{header} not found: run '{sys.executable} -m pip install \"{package}\"'", file=sys.stderr)
            return 2
        found.append(str(folder))
    print(";".join(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
