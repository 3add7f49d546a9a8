"""What is measured: each step runs programs and gives lines of Markdown, and what was not as it should be."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from card import Card, MeasurementError, Share, environment, result, run, start

ALLOCATORS = {
    "native": "",
    "expandable segments": "expandable_segments:True",
    "cudaMallocAsync": "backend:cudaMallocAsync",
}
SHARE_MIB = 8192
BLOCK_MIB = 64
REPEATS = 3
BOOKS_S = 1.5  # the books drop processes that ended once a second


@dataclass(kw_only=True)
class Found:
    """The page's lines of one step, and its faults."""

    title: str
    lines: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def table(self, head: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
        """Add a table."""
        head = list(head)
        self.lines += ["", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
        self.lines += [f"| {' | '.join(map(str, row))} |" for row in rows]
        self.lines.append("")

    def expect(self, *, holds: bool, fault: str) -> None:
        """Note a fault unless it holds."""
        if not holds:
            self.faults.append(fault)


def memory(card: Card, seconds: float) -> Found:
    """A share is never exceeded, whichever allocator asks, and what was given back can be had again."""
    del seconds
    found = Found(title="Memory limit and the text of a refusal")
    rows, texts = [], []
    for name, settings in ALLOCATORS.items():
        seen = run(card, Share(memory_mib=SHARE_MIB), "memory", settings=settings)
        shown = [seen["before"]["total_mib"], seen["before"]["free_mib"], seen["held_mib"], seen["full"]["free_mib"]]
        rows.append((name, *shown, seen["emptied"]["free_mib"], seen["again_mib"]))
        texts += ["", f"{name}:", "", "```text", seen["refused"], "```"]
        total = seen["before"]["total_mib"]
        found.expect(holds=total == SHARE_MIB, fault=f"{name}: the program is shown {total} MiB, not {SHARE_MIB}")
        found.expect(
            holds=seen["held_mib"] <= seen["before"]["free_mib"], fault=f"{name}: more was given than was free"
        )
        found.expect(holds=seen["full"]["free_mib"] < 2 * BLOCK_MIB, fault=f"{name}: refused with room left")
    found.table(
        ("Allocator", "total", "free at first", "held when refused", "free then", "free after", "had again"), rows
    )
    found.lines += [f"MiB; 64 MiB at a time in a share of {SHARE_MIB} MiB.", *texts]
    return found


def _smi(variables: dict[str, str]) -> str:
    if shutil.which("nvidia-smi") is None:
        return "not installed"
    asked = ["nvidia-smi", "--id=0", "--query-gpu=memory.total,memory.used", "--format=csv,noheader"]
    shown = subprocess.run(asked, env=variables, capture_output=True, text=True, timeout=60, check=False)
    return shown.stdout.strip() or f"exit status {shown.returncode}"


def _picture(variables: dict[str, str]) -> Any:
    program = [sys.executable, str(Path(__file__).with_name("picture.py"))]
    shown = subprocess.run(program, env=variables, capture_output=True, text=True, timeout=60, check=False)
    if shown.returncode != 0:
        raise MeasurementError(f"picture.py: {shown.stderr.strip()}")
    return json.loads(shown.stdout)


def views(card: Card, seconds: float) -> Found:
    """NVML inside shows the share; outside, the card holds no more for it than the share."""
    del seconds
    found = Found(title="What is shown inside and outside, and two programs in one share")
    share = Share(memory_mib=SHARE_MIB)
    with environment(card, None) as outside, environment(card, share) as inside:
        before = _picture(outside)
        programs = [start(card, inside, "hold") for _ in range(2)]
        held = [int(program.stdout.readline() or 0) if program.stdout else 0 for program in programs]
        within, without = _picture(inside), _picture(outside)
        smi = (_smi(inside), _smi(outside))
        for program in programs:
            result(program)
        time.sleep(BOOKS_S)
        after = _picture(inside)
    grown = without["used_mib"] - before["used_mib"]
    found.table(
        ("", "inside", "outside"),
        (
            ("total, MiB", within["total_mib"], without["total_mib"]),
            ("used, MiB", within["used_mib"], f"{without['used_mib']}, before {before['used_mib']}"),
            ("processes", len(within["processes"]), len(without["processes"])),
            ("nvidia-smi: memory.total, memory.used", *smi),
        ),
    )
    found.lines.append(f"Two programs took all they could at once: {held[0]} and {held[1]} MiB of tensors.")
    found.expect(holds=within["total_mib"] == SHARE_MIB, fault=f"inside, {within['total_mib']} MiB are shown in all")
    found.expect(holds=sum(held) <= SHARE_MIB, fault=f"two programs hold {sum(held)} MiB in a share of {SHARE_MIB}")
    # A context is counted once the driver has made it, and so not refused to a program that finds the share full.
    least = min(without["processes"].values(), default=0)
    beyond = max(0, grown - SHARE_MIB)
    found.lines.append(f"The card gave {beyond} MiB beyond the share; the smaller program had {least} MiB on it.")
    found.expect(holds=beyond <= least, fault=f"the card gave {grown} MiB to a share of {SHARE_MIB}")
    found.expect(holds=after["used_mib"] == 0, fault=f"{after['used_mib']} MiB are left in the books")
    return found


def graphs(card: Card, seconds: float) -> Found:
    """A captured graph gives the same with and without the library, and its memory counts."""
    del seconds
    found = Found(title="CUDA graphs")
    rows, sums = [], set()
    for name, settings in ALLOCATORS.items():
        plain = run(card, None, "graphs", settings=settings)
        held = run(card, Share(memory_mib=SHARE_MIB, core_percent=50, policy="force"), "graphs", settings=settings)
        rows.append((name, plain["sum"], held["sum"], held["info"]["total_mib"] - held["info"]["free_mib"]))
        sums |= {plain["sum"], held["sum"]}
    found.table(("Allocator", "sum without", "sum in a share", "used in the share, MiB"), rows)
    found.lines.append("100 launches of a captured graph; the sum is over its tensor.")
    found.expect(holds=len(sums) == 1, fault=f"results differ: {sorted(sums)}")
    return found


def speed(card: Card, seconds: float) -> Found:
    """What the library costs a program that has the card to itself."""
    found = Found(title="Speed with and without")
    most = card.memory_mib - 1024
    manners = {
        "without the library": None,
        "preloaded, no limits": Share(),
        "memory limit": Share(memory_mib=most),
        "memory limit, core share 50, alone": Share(memory_mib=most, core_percent=50),
    }
    rates: dict[str, list[dict[str, float]]] = {name: [] for name in manners}
    # In turn, so that a card that gets warm slows all of them down.
    for _ in range(REPEATS):
        for name, share in manners.items():
            rates[name].append(run(card, share, "speed", str(seconds / 4)))
    kinds = list(rates["without the library"][0])
    medians = {name: [statistics.median(one[kind] for one in seen) for kind in kinds] for name, seen in rates.items()}
    bare = medians["without the library"]
    rows = [
        (name, *(f"{rate:,.0f} ({rate / native:.3f})" for rate, native in zip(medians[name], bare, strict=True)))
        for name in manners
    ]
    found.table(("", *kinds), rows)
    found.lines.append(
        f"Median of {REPEATS} runs of {seconds / 4:g} s each, in turn; in brackets, against without the library."
    )
    return found


def shares(card: Card, seconds: float) -> Found:
    """A core share is held alone, and two containers get the card in the ratio of theirs."""
    found = Found(title="Core shares")
    native = run(card, None, "share", str(seconds))["steps/s"]
    rows: list[tuple[object, ...]] = [("without the library", f"{native:,.0f}", "100 %", "")]
    for percent in (10, 30, 50, 80):
        rate = run(card, Share(memory_mib=SHARE_MIB, core_percent=percent, policy="force"), "share", str(seconds))[
            "steps/s"
        ]
        part = 100 * rate / native
        rows.append((f"alone, {percent} %, force", f"{rate:,.0f}", f"{part:.1f} %", f"{part - percent:+.1f}"))
        found.expect(holds=abs(part - percent) <= 3, fault=f"a share of {percent} % got {part:.1f} %")
    alone = run(card, Share(memory_mib=SHARE_MIB, core_percent=30), "share", str(seconds))["steps/s"]
    rows.append(("alone, 30 %, default", f"{alone:,.0f}", f"{100 * alone / native:.1f} %", ""))
    with (
        environment(card, Share(memory_mib=SHARE_MIB, core_percent=30, policy="force")) as low,
        environment(card, Share(memory_mib=SHARE_MIB, core_percent=70, policy="force")) as high,
    ):
        programs = [start(card, variables, "share", str(seconds)) for variables in (low, high)]
        small, large = (result(program)["steps/s"] for program in programs)
    rows.append(("two containers, 30 % of both", f"{small:,.0f}", f"{100 * small / native:.1f} %", ""))
    rows.append(("two containers, 70 % of both", f"{large:,.0f}", f"{100 * large / native:.1f} %", ""))
    found.table(("", "steps/s", "of without", "points off"), rows)
    ratio = large / small
    found.lines.append(f"The two got the card 1 : {ratio:.2f}; 1 : {7 / 3:.2f} is meant.")
    found.expect(holds=abs(ratio / (7 / 3) - 1) <= 0.05, fault=f"two shares of 30 and 70 % got 1 : {ratio:.2f}")
    found.expect(
        holds=alone >= 0.98 * native, fault=f"alone with default: {100 * alone / native:.1f} % of the speed without"
    )
    return found


STEPS: dict[str, Callable[[Card, float], Found]] = {
    "memory": memory,
    "views": views,
    "graphs": graphs,
    "speed": speed,
    "shares": shares,
}
