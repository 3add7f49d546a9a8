"""Runs one test program with a vendor's library preloaded, inside a share of that vendor's double or outside one.

The limits file and the region are made in a temporary folder. The exit status is the program's own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from emulator import emulated


def main(argv: list[str]) -> int:
    """Run the command; return its exit status, or 128 plus the signal that ended it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", required=True, type=Path, help="the preload library")
    parser.add_argument("--fakes", required=True, type=Path, help="folder of the vendor's test doubles")
    parser.add_argument("--memory-mib", type=int, help="memory limit; none without it")
    parser.add_argument("--core-percent", type=int, default=0, help="core limit; 0: none")
    parser.add_argument("--device", help="uuid of the one device of the share")
    parser.add_argument("--machine", type=Path, help="machine JSON, its first card in the share; else a private card")
    parser.add_argument("--no-limits", action="store_true", help="preload the library and set no limits")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--emulator", default="", help="command line that runs programs of the library's processor")
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="hami-vendor-") as folder:
        variables = dict(os.environ)
        variables["LD_LIBRARY_PATH"] = str(arguments.fakes.resolve())
        variables["LD_PRELOAD"] = str(arguments.library.resolve())
        # A sanitizer's runtime wants to be first; it is in the program, and what it intercepts is called from there.
        variables["ASAN_OPTIONS"] = f"verify_asan_link_order=0:{variables.get('ASAN_OPTIONS', '')}"
        device = arguments.device or "card-0"
        if arguments.machine is not None:
            device = json.loads(arguments.machine.read_text(encoding="utf-8"))["devices"][0]["uuid"]
            variables["HAMI_FAKE_MACHINE"] = str(arguments.machine.resolve())
            variables["HAMI_FAKE_STATE"] = f"{folder}/state"
        if not arguments.no_limits:
            memory = "" if arguments.memory_mib is None else f" memory_mib={arguments.memory_mib}"
            limits = Path(folder) / "limits"
            limits.write_text(
                f"hami-limits 1\nregion {folder}/region\ncore-policy force\n"
                f"device {device}{memory} core_percent={arguments.core_percent}\n",
                encoding="utf-8",
            )
            variables["HAMI_LIMITS_FILE"] = str(limits)
        variables.update(pair.split("=", 1) for pair in arguments.env)
        command, variables = emulated(arguments.emulator, arguments.command, variables)
        done = subprocess.run(command, env=variables, check=False)
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
