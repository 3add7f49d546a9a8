"""Print where the SDK is, for builds that are not scikit-build-core's."""

from __future__ import annotations

import argparse
import sys

from hami_native_sdk import cmake_dir, prefix, test_runner


def main() -> int:
    """Print one path."""
    parser = argparse.ArgumentParser(prog="python -m hami_native_sdk", description=__doc__)
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--prefix", action="store_const", const=prefix, dest="place", help="for CMAKE_PREFIX_PATH")
    choice.add_argument("--cmake-dir", action="store_const", const=cmake_dir, dest="place", help="for HamiCore_DIR")
    choice.add_argument("--test-runner", action="store_const", const=test_runner, dest="place", help="runs a test")
    sys.stdout.write(f"{parser.parse_args().place()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
