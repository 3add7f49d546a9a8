"""Test: a preload library is a guest, so it needs nothing but the C library, and an old one will do.

Reads the ELF dynamic section through ``readelf``. Exit status 1 with one line per finding.
"""

from __future__ import annotations

import re
import subprocess
import sys

OLDEST_GLIBC = (2, 17)
ALLOWED = re.compile(r"^(libc\.so\.6|ld-linux[-\w]*\.so\.\d)$")


def _readelf(option: str, path: str) -> str:
    command = ["readelf", "-W", option, path]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def findings(path: str) -> list[str]:
    """What is wrong with the library at ``path``; empty when nothing is."""
    needed = re.findall(r"\(NEEDED\).*\[(.+?)\]", _readelf("-d", path))
    versions = {
        tuple(int(part) for part in version.split("."))
        for version in re.findall(r"Name: GLIBC_([\d.]+)", _readelf("-V", path))
    }
    found = [
        f"needs {name}; a preload library may need only the C library" for name in needed if not ALLOWED.match(name)
    ]
    found += [
        f"needs GLIBC_{'.'.join(map(str, version))}; the oldest supported is {'.'.join(map(str, OLDEST_GLIBC))}"
        for version in sorted(versions)
        if version > OLDEST_GLIBC
    ]
    if "NODELETE" not in _readelf("-d", path):
        found.append("may be unloaded while programs hold addresses of its wrappers; link it with -z nodelete")
    return found


def main(paths: list[str]) -> int:
    """Check every path given."""
    lines = [f"{path}: {finding}" for path in paths for finding in findings(path)]
    sys.stderr.writelines(f"{line}\n" for line in lines)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
