"""Folders of sockets and tables, as the process under test finds them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.remote.vendor import folders

from hami_core.remote import session
from hami_core.remote.places import Place, place_of


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    made = folders(tmp_path)
    for name, value in made.items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture
def place(environ: dict[str, str]) -> Place:
    return place_of("borealis", environ)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines that a test can wait for."""
    for name in ("DESCRIBE_S", "PROBE_S", "ALLOCATE_S"):
        monkeypatch.setattr(session, name, 0.3)
