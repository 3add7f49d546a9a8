"""Test: the dynamic symbols that a preload library defines are exactly those of its table.

Exit status 1 with one line per difference.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main(library: str, expected: str) -> int:
    """Compare the library with the list, one name a line."""
    command = ["nm", "-D", "--defined-only", "--format=posix", library]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = {line.split()[0].split("@")[0] for line in listed.splitlines()}
    wanted = set(Path(expected).read_text(encoding="utf-8").split())
    lines = [f"{library}: exports {name}, which is not in its table" for name in sorted(found - wanted)]
    lines += [f"{library}: does not export {name}, which is in its table" for name in sorted(wanted - found)]
    sys.stderr.writelines(f"{line}\n" for line in lines)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
