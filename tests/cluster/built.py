"""Tools that a Go module names, built when they are not there yet."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

BUILD_TIMEOUT_S = 3 * 60 * 60
_BUILD = Path(__file__).with_name("build.sh")


def built(module: Path, *tools: str) -> Path:
    """The folder with the tools, or some of them, that a Go module names.

    The make targets build them before any deadline runs.
    """
    if shutil.which("go") is None:
        pytest.exit("these tests build Kubernetes and what goes with it from source: install Go 1.26 or newer", 3)
    done = subprocess.run(
        [str(_BUILD), str(module), *tools], stdout=subprocess.PIPE, text=True, timeout=BUILD_TIMEOUT_S, check=False
    )
    if done.returncode != 0:
        pytest.exit(f"{module / 'go.mod'} could not be built; see above", 3)
    return Path(done.stdout.strip())
