"""A running `hami serve-fit`, as an embedder has one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HAMI = str(Path(sys.executable).with_name("hami"))


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Where the server listens."""
    address = f"unix:{tmp_path / 'fit.sock'}"
    command = [HAMI, "serve-fit", "--listen", address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == f"listening on {address}\n", server.communicate()[1]
            yield address
        finally:
            server.terminate()
            _, errors = server.communicate(timeout=60)
    assert (server.returncode, errors) == (0, "")
