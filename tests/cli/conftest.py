"""The command line as a person types it: a process of its own, with a state folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

HAMI = str(Path(sys.executable).with_name("hami"))


@attrs.frozen
class Outcome:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


Hami = Callable[..., Outcome]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "HAMI_STATE_DIR": str(tmp_path / "state"), "COLUMNS": "80"}


@pytest.fixture
def hami(environ: dict[str, str], tmp_path: Path) -> Hami:
    """Run `hami ARGUMENTS` to its end; keyword arguments are environment variables, `stdin` is its input."""

    def run(*arguments: str, stdin: str = "", **extra: str) -> Outcome:
        ended = subprocess.run(
            [HAMI, *arguments], check=False, input=stdin, capture_output=True, text=True, cwd=tmp_path,
            env={**environ, **extra},
        )  # fmt: skip
        assert "Traceback" not in ended.stderr, ended.stderr
        return Outcome(ended.returncode, ended.stdout, ended.stderr)

    return run
