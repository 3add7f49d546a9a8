"""PyTorch as it is released, on the simulated driver: an environment of its own, and a double of the CUDA runtime."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

ROOT = Path(__file__).resolve().parents[2]
TORCH = ROOT / "build" / "torch"
PATIENCE_S = 240

Run = Callable[..., Any]


@pytest.fixture(scope="session")
def environ() -> dict[str, str]:
    """Variables that PyTorch's programs need here."""
    for needed in (TORCH / "bin" / "python", TORCH / "libcudart.so.13"):
        if not needed.is_file():
            pytest.fail(f"{needed} is missing; run: make test-torch", pytrace=False)
    return {**os.environ, "HAMI_CUDART": str(TORCH / "libcudart.so.13")}


@pytest.fixture
def torch_program(environ: dict[str, str], tmp_path: Path) -> Run:
    """Runs a program with PyTorch on one simulated card, in a share of `memory_mib` or of the whole card.

    With `core_percent` it may use so much of the card's time. Gives what the program's last line says.
    """

    def run(*words: str, memory_mib: int | None = None, core_percent: int = 0, **more: str) -> Any:
        hami = Path(sysconfig.get_path("scripts")) / "hami"
        share = ["--memory", str(memory_mib), "--cores", str(core_percent)] if memory_mib else []
        program = [str(TORCH / "bin" / "python"), *words]
        done = subprocess.run(
            [str(hami), "run", "--simulate", "a40x2", *share, "--", *program],
            env={**environ, "XDG_STATE_HOME": str(tmp_path), "HAMI_STATE_DIR": str(tmp_path), **more},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return msgspec.json.decode(done.stdout.splitlines()[-1])

    return run
