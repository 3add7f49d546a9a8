"""Test: the core writes a region of the same bytes as ever, on every processor.

The arguments are the golden file and the command of the program that writes one. Exit status 1 where they differ.
"""

from __future__ import annotations

import gzip
import subprocess
import sys
import tempfile
from pathlib import Path


def main(golden: str, command: list[str]) -> int:
    """Let the program write a region and compare it."""
    with tempfile.TemporaryDirectory(prefix="hami-region-") as folder:
        path = Path(folder) / "region"
        subprocess.run([*command, "write", str(path)], check=True)
        written = path.read_bytes()
    expected = gzip.decompress(Path(golden).read_bytes())
    if written == expected:
        return 0
    pairs = zip(written, expected, strict=False)
    differ = next((at for at, (left, right) in enumerate(pairs) if left != right), min(len(written), len(expected)))
    sys.stderr.write(f"{len(written)} bytes, expected {len(expected)}; they differ from byte {differ} on\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
