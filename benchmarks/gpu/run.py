"""Measure the NVIDIA isolation library with PyTorch on a card, and write the page of figures. One command does all.

On a machine with a card, PyTorch and nothing else:

    make build/native/build.ninja && cmake --build build/native --target hami_nvidia   # here or on the machine
    python3 benchmarks/gpu/run.py

The library is taken as it was built, from build/native/lib or --library: it needs the C library only, so it may be
built on another machine. PyTorch is that of --python; --install-torch puts it into build/torch first. --dry-run goes
through the same steps over the simulated driver (after make test-torch), and writes no page among the measurements: its
figures mean nothing. Exit status 1: something was not as it should be, and the page says what.
"""

from __future__ import annotations

import argparse
import datetime
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import card as cards
from steps import STEPS, Found

ROOT = Path(__file__).resolve().parents[2]
NATIVE = ROOT / "build" / "native" / "lib"
TORCH = ROOT / "build" / "torch"


def _output(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def install_torch() -> str:
    """Put PyTorch into build/torch; return its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", str(TORCH)], check=True)
    python = TORCH / "bin" / "python"
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", "torch", "numpy"], check=True)
    return str(python)


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", type=Path, default=NATIVE / "libhami_nvidia.so")
    parser.add_argument("--fakes", type=Path, default=NATIVE / "fake", help="folder of the simulated driver")
    parser.add_argument("--python", default=sys.executable, help="an interpreter that has PyTorch")
    parser.add_argument("--install-torch", action="store_true")
    parser.add_argument(
        "--seconds", type=float, default=8.0, help="how long a rate is measured; with 8 it takes some 8 minutes"
    )
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--out", type=Path, help="the page, or the folder to write it into")
    return parser.parse_args(argv)


def _card(arguments: argparse.Namespace, state: Path) -> cards.Card:
    if not arguments.library.is_file():
        raise cards.MeasurementError(f"{arguments.library} is missing; build it, or name it with --library")
    if not arguments.dry_run:
        python = install_torch() if arguments.install_torch else arguments.python
        return cards.real_card(python=python, library=arguments.library)
    cudart, python = TORCH / "libcudart.so.13", TORCH / "bin" / "python"
    if not cudart.is_file():
        raise cards.MeasurementError(f"{cudart} is missing; run: make test-torch")
    return cards.simulated_card(
        machine=ROOT / "src" / "hami_nvidia" / "machines" / "a40x2.json",
        fakes=arguments.fakes,
        cudart=cudart,
        state=state,
        python=str(python),
        library=arguments.library,
    )


def measure(card: cards.Card, names: list[str], seconds: float) -> list[Found]:
    """Go through the steps; one that fails is a fault, and the next one runs."""
    found = []
    for name in names:
        begun = time.monotonic()
        try:
            one = STEPS[name](card, seconds)
        except (cards.MeasurementError, OSError, KeyError, ValueError) as error:
            one = Found(title=name, faults=[f"{type(error).__name__}: {error}"])
        print(f"{name}: {len(one.faults)} faults, {time.monotonic() - begun:.0f} s", flush=True)
        for fault in one.faults:
            print(f"  {fault}", flush=True)
        found.append(one)
    return found


def page(card: cards.Card, found: list[Found], *, day: str) -> str:
    """The figures as a page of the documentation."""
    commit = _output("git", "rev-parse", "--short", "HEAD")
    torch = _output(card.python, "-c", "import torch; print(torch.__version__)")
    lines = [
        f"# {day}: {card.model}",
        "",
        f"Driver {card.driver}, {card.memory_mib} MiB, PyTorch {torch}, commit {commit or 'unknown'}.",
        "Every figure comes from `benchmarks/gpu/run.py`, which says how it is measured, in one run.",
        "",
    ]
    for one in found:
        lines += [f"## {one.title}", *one.lines]
        lines += [f"- **Not as it should be:** {fault}" for fault in one.faults]
        lines.append("")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def _place(arguments: argparse.Namespace, card: cards.Card, day: str) -> Path:
    folder = ROOT / ("build" if arguments.dry_run else "docs/measurements")
    name = re.sub(r"[^a-z0-9]+", "-", f"{day}-{card.model}".lower()).strip("-") + ".md"
    if arguments.out is None:
        return folder / name
    return Path(arguments.out) / name if arguments.out.is_dir() else Path(arguments.out)


def main(argv: list[str]) -> int:
    """Measure and write."""
    arguments = _arguments(argv)
    day = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    with tempfile.TemporaryDirectory(prefix="hami-gpu-") as folder:
        try:
            card = _card(arguments, Path(folder) / "state")
        except cards.MeasurementError as error:
            print(f"run.py: {error}", file=sys.stderr)
            return 2
        found = measure(card, arguments.steps, arguments.seconds)
        place = _place(arguments, card, day)
        place.write_text(page(card, found, day=day), encoding="utf-8")
    print(place)
    return 1 if any(one.faults for one in found) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
