"""What a share larger than its place on the card costs, on the test double's simulated bus and clock.

Simulated time jumps to whenever somebody waits, so the load of this machine changes nothing but the CPU time of calls.
The card's and the bus's speeds are assumptions, and kernels do nothing but wait for them: figures of a model, not of a
card.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from settings import BARE, Settings, share

FACTORS = (0.5, 1.0, 1.5, 2.0)
CARD_MIB_PER_S = 600_000  # of an A40: 696 GB/s by its data sheet, less what no kernel gets
BUS_MIB_PER_S = 24_000  # PCIe 4.0, 16 lanes
CARD_MIB = 45_416  # of a40x2 after the driver's part


class Machine:
    """A simulated machine with shares of one card side by side."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.arguments = arguments
        self.folder = folder
        self.uuid = json.loads(arguments.machine.read_text(encoding="utf-8"))["devices"][0]["uuid"]

    def share_of(self, name: str, memory_mib: int) -> Settings:
        """A share that may oversubscribe, with a region of its own."""
        made = share(name, region=self.folder / f"{name}.region", uuid=self.uuid, limit=f"memory_mib={memory_mib}")
        return replace(made, limits=f"{made.limits}oversubscribe yes\n")

    def start(self, settings: Settings, *words: str) -> subprocess.Popen[str]:
        """Start the program under `settings`."""
        variables = settings.environment(
            build=self.arguments.build, machine=self.arguments.machine.resolve(), folder=self.folder
        )
        variables |= {"HAMI_FAKE_TIME_SCALE": "0", "HAMI_FAKE_BUS_MIB_PER_S": str(BUS_MIB_PER_S)}
        program = self.arguments.build / "tests" / "nvidia" / "nvidia_pressure"
        return subprocess.Popen(
            [str(program), *words], env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, settings: Settings, *words: str) -> dict[str, float]:
        """Run the program to its end; return what it said."""
        process = self.start(settings, *words)
        said, _ = process.communicate()
        if process.returncode != 0:
            raise RuntimeError(f"nvidia_pressure {' '.join(words)} under {settings.name!r} ended {process.returncode}")
        return first(said)


def first(said: str) -> dict[str, float]:
    """The first line of an answer."""
    numbers: dict[str, float] = json.loads(said.splitlines()[0])
    return numbers


def pressure(machine: Machine) -> list[str]:
    """A program beside a neighbour that holds half of the card: what a pass over its working set takes."""
    rows = ["place | working set | on the card | a pass | of the card's speed | driver's own policy"]
    neighbour = machine.start(
        machine.share_of("neighbour", CARD_MIB), "device", str(CARD_MIB // 2), str(CARD_MIB_PER_S), "wait"
    )
    if neighbour.stdin is None or neighbour.stdout is None:
        raise RuntimeError("the neighbour has no pipes")
    before = first(neighbour.stdout.readline())
    place_mib = int(CARD_MIB - before["device_mib"] - 300)  # a context's part
    for factor in FACTORS:
        wanted_mib = int(place_mib * factor) // 64 * 64
        words = (str(wanted_mib), str(CARD_MIB_PER_S))
        got = machine.ask(machine.share_of("under pressure", 2 * CARD_MIB), "device", *words)
        usual = machine.ask(BARE, "managed", *words)
        ideal_ns = wanted_mib / CARD_MIB_PER_S * 1e9
        rows.append(
            f"{place_mib} MiB | {factor:g}x, {wanted_mib} MiB | {got['device_mib']:.0f} MiB |"
            f" {got['pass_ns'] / 1e6:.0f} ms | {100 * ideal_ns / got['pass_ns']:.0f} % |"
            f" {usual['pass_ns'] / 1e6:.0f} ms"
        )
    said, _ = neighbour.communicate("again\n")
    after = first(said)
    rows.append(
        f"the neighbour before: {before['device_mib']:.0f} MiB on the card, {before['pass_ns'] / 1e6:.1f} ms a pass;"
        f" after: {after['device_mib']:.0f} MiB, {after['pass_ns'] / 1e6:.1f} ms"
    )
    return rows


def side_by_side(machine: Machine) -> list[str]:
    """Two shares of a whole card each, on one card: who comes first has the card, who comes second the rest."""
    rows = ["share | working set | on the card | a pass"]
    wanted_mib = CARD_MIB * 3 // 4 // 64 * 64
    words = ("device", str(wanted_mib), str(CARD_MIB_PER_S))
    one = machine.start(machine.share_of("first", CARD_MIB), *words, "wait")
    if one.stdin is None or one.stdout is None:
        raise RuntimeError("the first share has no pipes")
    alone = first(one.stdout.readline())
    other = machine.ask(machine.share_of("second", CARD_MIB), *words)
    said, _ = one.communicate("again\n")
    beside = first(said)
    rows += [
        f"{name} | {wanted_mib} MiB | {numbers['device_mib']:.0f} MiB | {numbers['pass_ns'] / 1e6:.0f} ms"
        for name, numbers in (("first, alone", alone), ("second", other), ("first, afterwards", beside))
    ]
    return rows


def calls(machine: Machine) -> list[str]:
    """CPU time of an allocation of 64 MiB with its free."""
    bare = machine.ask(BARE, "calls")
    held = machine.ask(machine.share_of("calls", 2 * CARD_MIB), "calls")
    return [
        "allocation and free | bare double | in the share | added",
        *(
            f"{text} | {bare[name]:.0f} ns | {held[name]:.0f} ns | {held[name] - bare[name]:+.0f} ns"
            for name, text in (("fits", "fits"), ("full", "card full: the same calls made by hand"))
        ),
        f"card full, in stream order | | {held['full_async']:.0f} ns |",
    ]


def main(argv: list[str]) -> int:
    """Print the three tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=Path("build/native"))
    parser.add_argument("--machine", type=Path, default=Path("src/hami_nvidia/machines/a40x2.json"))
    arguments = parser.parse_args(argv)
    print(f"assumed: {CARD_MIB_PER_S} MiB/s on the card, {BUS_MIB_PER_S} MiB/s on the bus")
    for measure in (pressure, side_by_side, calls):
        with tempfile.TemporaryDirectory(prefix="hami-oversubscription-") as folder:
            for row in measure(Machine(arguments, Path(folder))):
                print(f"| {row} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
