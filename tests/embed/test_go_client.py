"""The Go example, built from its committed code and run against a server. The one test that needs Go."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "examples" / "embed" / "go"
PLUGIN_MODULE = ROOT / "examples" / "plugins" / "remote-go"

pytestmark = pytest.mark.skipif(shutil.which("go") is None, reason="go is not installed: the Go client cannot be built")


def go(*arguments: str) -> str:
    """Run the go command in the example. Modules come from the module cache; what it lacks is fetched once."""
    command = ["go", *arguments]
    done = subprocess.run(command, cwd=MODULE, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_go_client_places_pods_and_prints_why_the_last_one_waits(address: str, tmp_path: Path) -> None:
    client = tmp_path / "hami-embed"
    go("build", "-buildvcs=false", "-o", str(client), ".")
    done = subprocess.run([str(client), address], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "train-0: GPU-1 on node-1, 30000 MiB",
        "train-1: GPU-0 on node-1, 30000 MiB",
        "train-2: fits nowhere",
        "  node-1: 2/2 CardInsufficientMemory",
        "    GPU-1 (A40): 30000 MiB asked, 16068 MiB free of 46068; held by default/train-0 (30000 MiB)",
        "    GPU-0 (A40): 30000 MiB asked, 16068 MiB free of 46068; held by default/train-1 (30000 MiB)",
    ]


def test_the_go_example_is_formatted_and_vetted() -> None:
    assert go("list", "-f", "{{.Dir}}", "./...").splitlines() == [str(MODULE), str(MODULE / "fitv1")]
    go("vet", "./...")
    unformatted = subprocess.run(["gofmt", "-l", "."], cwd=MODULE, capture_output=True, text=True, check=True)
    assert unformatted.stdout == ""


def test_the_committed_go_code_is_what_the_proto_generates(tmp_path: Path) -> None:
    uv = shutil.which("uv") or str(ROOT / ".boot" / "bin" / "uv")
    command = [uv, "run", "--quiet", "--script", str(ROOT / "proto" / "generate.py"), "--go-out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr
    for module, package in ((MODULE, "fitv1"), (PLUGIN_MODULE, "pluginv1")):
        made = sorted((tmp_path / package).iterdir())
        assert len(made) == 2
        for file in made:
            committed = (module / package / file.name).read_text()
            assert file.read_text() == committed, f"{file.name} is stale; run make proto"
