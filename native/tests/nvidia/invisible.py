"""Test: outside a share the library is not there to be noticed.

Runs programs with and without it preloaded and compares all that a program can notice: exit status, output, standard
error, open files, signal handling, environment.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SHARE_MIB = 20_000  # more than any trace holds at a time

# Prints what a process starts with; the handlers and the mask of signals are lines of /proc/self/status.
LOOK_AROUND = (
    "grep -E '^(Sig[BIC]|Umask|Threads)' /proc/self/status; ls -l /proc/self/fd | wc -l; umask; pwd; ulimit -n;"
    " env | grep -v -E '^(LD_PRELOAD|_)=' | sort; exit 7"
)


def _run(command: list[str], variables: dict[str, str]) -> tuple[int, str, str]:
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def _compare(
    what: str, command: list[str], plain: dict[str, str], preloaded: dict[str, str], *, expected: int | None = None
) -> list[str]:
    without, with_library = _run(command, plain), _run(command, preloaded)
    if expected is not None and without[0] != expected:
        return [f"{what}: without the library exit status {without[0]}, not {expected}: {without[2]}"]
    return [] if without == with_library else [f"{what}: without {without}, with the library {with_library}"]


def main(argv: list[str]) -> int:
    """Compare; return 1 with one line for each difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", required=True, type=Path)
    parser.add_argument("--fakes", required=True, type=Path)
    parser.add_argument("--machine", required=True, type=Path)
    parser.add_argument("--trace", required=True, type=Path, help="program linked against the driver")
    parser.add_argument("--replay", required=True, type=Path, help="program that replays a file of calls")
    parser.add_argument("--own-phdr", required=True, type=Path, help="program with a dl_iterate_phdr of its own")
    parser.add_argument("--traces", required=True, type=Path, help="folder of such files")
    parser.add_argument("--runtime", default="", help="a sanitizer's, which both sides start with")
    parser.add_argument("--own-only", action="store_true", help="leave out programs that are not of this tree")
    arguments = parser.parse_args(argv)
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("LD_", "HAMI_", "CUDA_"))}
    if arguments.runtime:
        # What strangers' programs leave unfreed is not looked for here.
        bare |= {"LD_PRELOAD": arguments.runtime, "ASAN_OPTIONS": "detect_leaks=0"}
    found: list[str] = []
    with tempfile.TemporaryDirectory(prefix="hami-invisible-") as name:
        folder = Path(name)
        limits = folder / "limits"
        limits.write_text("hami-limits 1\ndevice GPU-none memory_mib=1000 core_percent=10\n", encoding="utf-8")
        preload = {"LD_PRELOAD": f"{arguments.runtime} {arguments.library.resolve()}".strip()}
        without_driver = {**bare, "HAMI_LIMITS_FILE": str(limits)}
        # No driver on the machine: nothing of it may be needed, whatever limits are set.
        strangers = {
            "true": ["/bin/true"],
            "false": ["/bin/false"],
            "what a shell sees": ["/bin/sh", "-c", LOOK_AROUND],
            "python": [sys.executable, "-c", "import ctypes; ctypes.CDLL('libc.so.6'); print(1)"],
            "its own dl_iterate_phdr": [str(arguments.own_phdr)],
            "a missing driver": [sys.executable, "-c", "import ctypes; ctypes.CDLL('libcuda.so.1')"],
            "a name nobody has": [
                sys.executable,
                "-c",
                "import ctypes; print(hasattr(ctypes.CDLL(None), 'cuMemAlloc_v2'))",
            ],
        }
        for what, command in () if arguments.own_only else strangers.items():
            found += _compare(what, command, without_driver, {**without_driver, **preload})
        # The driver is there and no limits are set: its answers come through bit by bit.
        with_driver = {
            **bare,
            "LD_LIBRARY_PATH": str(arguments.fakes.resolve()),
            "HAMI_FAKE_MACHINE": str(arguments.machine.resolve()),
        }
        found += _compare("driver calls", [str(arguments.trace)], with_driver, {**with_driver, **preload})
        # In a share that is never full it makes no difference either.
        cards = json.loads(arguments.machine.read_text(encoding="utf-8"))["devices"]
        lines = [f"device {card['uuid']} memory_mib={SHARE_MIB} core_percent=0" for card in cards]
        traces = sorted(arguments.traces.glob("*.trace"))
        assert traces, f"{arguments.traces} holds no traces"
        for trace in traces:
            command = [str(arguments.replay), str(trace)]
            found += _compare(trace.name, command, with_driver, {**with_driver, **preload}, expected=0)
            # A share of its own: what the trace before held may be in the books a second longer.
            wide = folder / f"{trace.name}.limits"
            region = f"region {folder / trace.name}.region"
            wide.write_text("\n".join(["hami-limits 1", region, *lines, ""]), encoding="utf-8")
            held = {**with_driver, **preload, "HAMI_LIMITS_FILE": str(wide)}
            found += _compare(f"{trace.name} in a share", command, with_driver, held)
    sys.stderr.writelines(f"{line}\n" for line in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
