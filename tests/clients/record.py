"""Record what other people's libraries call of the driver, as traces for native/tests/nvidia (make record-traces).

Usage: record.py BUILD TRACES [--python PYTHON] [--cudart FILE] NAME...: the folder of the native build, the folder to
write recorded-NAME.trace into, an interpreter that has what the programs need, the double of the CUDA runtime where
they need one, and which of RECORDINGS.
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

# What is recorded: a program of the folder "programs", and how PyTorch's allocator is set.
RECORDINGS = {
    "cuda-python": ("cuda_python", ""),
    "numba-arrays": ("numba_arrays", ""),
    "torch-caching": ("torch_blocks", ""),
    "torch-expandable": ("torch_blocks", "expandable_segments:True"),
    "torch-async": ("torch_blocks", "backend:cudaMallocAsync"),
}


def record(name: str, *, build: Path, python: str, cudart: Path | None) -> str:
    """The trace of one program on the simulated driver, without a share."""
    program, settings = RECORDINGS[name]
    with tempfile.TemporaryDirectory(prefix="hami-record-") as folder:
        trace = Path(folder) / "trace"
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("HAMI_", "CUDA_", "LD_"))}
        environ |= {
            "LD_PRELOAD": str(build / "lib" / "testing" / "libhami_record.so"),
            "LD_LIBRARY_PATH": str(build / "lib" / "fake"),
            "HAMI_FAKE_MACHINE": str(MACHINE),
            "HAMI_FAKE_TIME_SCALE": "0",
            "HAMI_RECORD": str(trace),
            "PYTORCH_ALLOC_CONF": settings,
        }
        if cudart is not None:
            environ["HAMI_CUDART"] = str(cudart.resolve())
        subprocess.run([python, str(HERE / "programs" / f"{program}.py")], env=environ, check=True)
        return trace.read_text(encoding="utf-8")


def main(argv: list[str]) -> int:
    """Record each program named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path)
    parser.add_argument("traces", type=Path)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--cudart", type=Path)
    parser.add_argument("names", nargs="+", choices=sorted(RECORDINGS), metavar="NAME")
    arguments = parser.parse_args(argv)
    for name in arguments.names:
        text = record(name, build=arguments.build.resolve(), python=arguments.python, cudart=arguments.cudart)
        program, settings = RECORDINGS[name]
        head = (
            f"# Recorded from tests/clients/programs/{program}.py {settings}".rstrip() + ", on the simulated driver.\n"
        )
        (arguments.traces / f"recorded-{name}.trace").write_text(head + text, encoding="utf-8")
        print(f"{name}: {len(text.splitlines())} lines")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
