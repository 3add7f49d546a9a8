"""The measurements for a card run on the simulated one, so that the first minutes on a card find no slip in them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hami_core.packaged import packaged

RUN = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu" / "run.py"


def test_a_dry_run_finds_no_fault_and_writes_the_page(environ: dict[str, str], tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    library = packaged("hami_nvidia", "lib/libhami_nvidia.so", environ)
    fakes = packaged("hami_nvidia", "lib/fake", environ)
    places = ["--library", str(library), "--fakes", str(fakes), "--out", str(page)]
    done = subprocess.run(
        [sys.executable, str(RUN), "--dry-run", *places, "--steps", "memory", "views", "graphs"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    text = page.read_text(encoding="utf-8")
    assert "(simulated)" in text
    assert text.count("out of memory") == 3
    assert "Not as it should be" not in text
