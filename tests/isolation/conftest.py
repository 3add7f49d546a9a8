"""The C core's side of the region, compiled once for these tests."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NATIVE = Path(__file__).parents[2] / "native"


@pytest.fixture(scope="session")
def exchange(tmp_path_factory):
    """Runs ``native/tests/core/region_exchange.c``: ``exchange("write" or "show", path)`` returns what it prints."""
    folder = tmp_path_factory.mktemp("exchange")
    layout = [NATIVE / "core/gen/layout.py", NATIVE / "core/region.toml", folder / "hami_region_layout.h"]
    subprocess.run([sys.executable, *layout], check=True)
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler is not None, "a C compiler is needed: install gcc"
    sources = [*sorted((NATIVE / "core").glob("*.c")), NATIVE / "tests/core/region_exchange.c"]
    program = folder / "exchange"
    flags = ["-std=gnu11", "-D_GNU_SOURCE", "-O1", f"-I{NATIVE}", f"-I{folder}", "-pthread"]
    subprocess.run([compiler, *flags, *sources, "-o", program], check=True)

    def run(action: str, path: Path) -> str:
        done = subprocess.run([program, action, path], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
