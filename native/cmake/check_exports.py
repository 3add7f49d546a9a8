"""Test: the dynamic symbols that a preload library defines are exactly those of its table.

Reads them through ``readelf``, which knows every processor. Exit status 1 with one line per difference.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# Columns of readelf's symbol table: number, value, size, type, binding, visibility, section, name.
BINDING, SECTION, NAME, COLUMNS = 4, 6, 7, 8


def exported(library: str) -> set[str]:
    """Names that other objects can find in the library, without their versions."""
    command = ["readelf", "-W", "--dyn-syms", library]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    defined = [row for row in rows if len(row) >= COLUMNS and row[SECTION].isdigit() and row[BINDING] != "LOCAL"]
    return {row[NAME].split("@")[0] for row in defined}


def main(library: str, expected: str) -> int:
    """Compare the library with the list, one name a line."""
    found = exported(library)
    wanted = set(Path(expected).read_text(encoding="utf-8").split())
    lines = [f"{library}: exports {name}, which is not in its table" for name in sorted(found - wanted)]
    lines += [f"{library}: does not export {name}, which is in its table" for name in sorted(wanted - found)]
    sys.stderr.writelines(f"{line}\n" for line in lines)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
