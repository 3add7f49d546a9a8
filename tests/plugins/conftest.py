"""The native parts of the example plugins, built as a vendor builds them: a wheel out of the installed SDK."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def build_wheel(source: Path, into: Path) -> Path:
    """Build a distribution in an environment of its own and unpack it; returns the folder to import it from."""
    uv = shutil.which("uv") or str(ROOT / ".boot" / "bin" / "uv")
    command = [uv, "build", "--wheel", "--quiet", "--out-dir", str(into / "dist"), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr
    (wheel,) = (into / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(into / "site")
    return into / "site"


@pytest.fixture(scope="session")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `hami_acme` can be imported from with its native part."""
    return build_wheel(ROOT / "examples" / "plugins" / "hami-acme", tmp_path_factory.mktemp("acme"))
