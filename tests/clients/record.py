"""Record what the programs beside this file call of the driver, as traces for native/tests/nvidia (make record-traces).

Usage: record.py BUILD TRACES [--python PYTHON] PROGRAM...: the folder of the native build, the folder to write
recorded-PROGRAM.trace into, an interpreter that has what the programs need, and names of programs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
MACHINE = HERE.parents[1] / "src" / "hami_nvidia" / "machines" / "a40x2.json"


def record(program: str, *, build: Path, python: str) -> str:
    """The trace of one program on the simulated driver, without a share."""
    with tempfile.TemporaryDirectory(prefix="hami-record-") as folder:
        trace = Path(folder) / "trace"
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("HAMI_", "CUDA_", "LD_"))}
        environ |= {
            "LD_PRELOAD": str(build / "lib" / "testing" / "libhami_record.so"),
            "LD_LIBRARY_PATH": str(build / "lib" / "fake"),
            "HAMI_FAKE_MACHINE": str(MACHINE),
            "HAMI_FAKE_TIME_SCALE": "0",
            "HAMI_RECORD": str(trace),
        }
        subprocess.run([python, str(HERE / "programs" / f"{program}.py")], env=environ, check=True)
        return trace.read_text(encoding="utf-8")


def main(argv: list[str]) -> int:
    """Record each program named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path)
    parser.add_argument("traces", type=Path)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("programs", nargs="+", metavar="PROGRAM")
    arguments = parser.parse_args(argv)
    for program in arguments.programs:
        text = record(program, build=arguments.build.resolve(), python=arguments.python)
        head = f"# Recorded from tests/clients/programs/{program}.py on the simulated driver.\n"
        name = f"recorded-{program.replace('_', '-')}.trace"
        (arguments.traces / name).write_text(head + text, encoding="utf-8")
        print(f"{name}: {len(text.splitlines())} lines")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
