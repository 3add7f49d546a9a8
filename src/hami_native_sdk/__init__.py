"""What an isolation library is built from: headers, static libraries, and the CMake package HamiCore.

A build by scikit-build-core that requires this distribution finds the package by itself. Other builds are told where:
``cmake -DCMAKE_PREFIX_PATH="$(python -m hami_native_sdk --prefix)"``.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def prefix() -> Path:
    """The folder for CMAKE_PREFIX_PATH."""
    # By a file: where an editable install keeps sources and built files in two folders, the package itself has no path.
    return Path(str(files(__name__).joinpath("share/cmake/HamiCore/HamiCoreConfig.cmake"))).parents[3]


def cmake_dir() -> Path:
    """The folder for HamiCore_DIR."""
    return prefix() / "share" / "cmake" / "HamiCore"


def test_runner() -> Path:
    """The program that runs a test inside a share, see docs/plugins/native.md."""
    return prefix() / "share" / "hami" / "native" / "tests" / "interpose" / "run.py"
