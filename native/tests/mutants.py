"""Breaks the isolation libraries on purpose, one way after the other, and shows which test notices each.

Works on a copy of the committed tree in a temporary folder. Exit status 1 where a breakage went unnoticed, or does not
fit the sources any more.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Pacing on the simulated card is left to the unit tests.
LEFT_OUT = r"pacing\.|shares|torture|schedules|invisible|syscalls|adds_only|launches"


def run(command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run to the end, whatever comes of it."""
    return subprocess.run(command, cwd=cwd, check=False, capture_output=True, text=True)


def broken(native: Path, mutant: dict[str, object]) -> tuple[str, str] | None:
    """The file's text before and after; None where the breakage does not fit it."""
    before = (native / str(mutant["file"])).read_text(encoding="utf-8")
    after = before
    pairs = [(mutant["old"], mutant["new"]), *mutant.get("also", [])]  # type: ignore[misc]  # from a TOML file
    for old, new in pairs:
        if after.count(old) != 1:
            return None
        after = after.replace(old, new)
    return before, after


def stages(file: str) -> list[tuple[str, list[str]]]:
    """What to build and which tests to select, the quickest first. Real pacing is left to the unit tests."""
    core = [("tests/core/all", ["-R", "^core_", "-E", LEFT_OUT]), ("tests/core/all", ["-R", "core_torture"])]
    rest = [("all", ["-E", f"^core_|{LEFT_OUT}"]), ("all", ["-R", "schedules"])]
    return core + rest if file.startswith("core/") else rest


def noticed_by(tree: Path, build: Path, file: str, jobs: int) -> str:
    """What fails: the compiler or a test; empty when nothing does."""
    bins = ROOT / ".venv" / "bin"
    ctest = [str(bins / "ctest"), "--test-dir", str(build), "-j", str(2 * jobs), "--stop-on-failure", "--timeout", "60"]
    for target, selected in stages(file):
        built = run([str(bins / "cmake"), "--build", str(build), "-j", str(jobs), "--target", target], tree)
        if built.returncode != 0:
            return "the compiler"
        done = run([*ctest, *selected], tree)
        if done.returncode != 0:
            return ", ".join(re.findall(r"^\t *\d+ - (\S+)", done.stdout, re.MULTILINE)) or "a test that did not end"
    return ""


def main(argv: list[str]) -> int:
    """Try every breakage; print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="breakages whose description has this in it")
    arguments = parser.parse_args(argv)
    mutants = tomllib.loads((ROOT / "native/tests/mutants.toml").read_text(encoding="utf-8"))["mutant"]
    survivors = 0
    with tempfile.TemporaryDirectory(prefix="hami-mutants-") as folder:
        tree = Path(folder) / "tree"
        subprocess.run(["/usr/bin/env", "git", "clone", "--quiet", str(ROOT), str(tree)], check=True)
        (tree / ".venv").symlink_to(ROOT / ".venv")
        build = tree / "build" / "native"
        subprocess.run(
            ["/usr/bin/env", "make", "--silent", "build/native/build.ninja"],
            cwd=tree,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        for mutant in (mutant for mutant in mutants if arguments.only in mutant["what"]):
            path = tree / "native" / mutant["file"]
            texts = broken(tree / "native", mutant)
            if texts is None:
                found = ""
                print(f"DOES NOT FIT  {mutant['file']}: {mutant['what']}", flush=True)
            else:
                path.write_text(texts[1], encoding="utf-8")
                found = noticed_by(tree, build, mutant["file"], arguments.jobs)
                path.write_text(texts[0], encoding="utf-8")
                print(f"{'noticed' if found else 'SURVIVED'}  {mutant['file']}: {mutant['what']}  {found}", flush=True)
            survivors += not found
    print(f"{survivors} of {len(mutants)} went unnoticed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
