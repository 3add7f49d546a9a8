"""One card, shares of it without a node agent, and programs inside them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PATIENCE_S = 240


class MeasurementError(Exception):
    """Something that a measurement needs is missing or failed; the text says what."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """The card that is measured, and how its programs are started.

    `variables` are what every program gets beside the caller's own; on a simulated card they lead to its driver.
    """

    uuid: str
    model: str
    driver: str
    memory_mib: int
    python: str
    library: Path
    variables: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Share:
    """What a program may use of the card; without a memory limit the library is preloaded and has no limits at all."""

    memory_mib: int | None = None
    core_percent: int = 0
    policy: str = "default"


def real_card(*, python: str, library: Path) -> Card:
    """The first card of this machine, as nvidia-smi names it.

    Raises:
        MeasurementError: nvidia-smi is missing or shows no card.
    """
    if shutil.which("nvidia-smi") is None:
        raise MeasurementError("nvidia-smi is not on the PATH: is there an NVIDIA card? (--dry-run needs none)")
    asked = "uuid,name,driver_version,memory.total"
    shown = subprocess.run(
        ["nvidia-smi", f"--query-gpu={asked}", "--format=csv,noheader,nounits"],
        capture_output=True,
        text=True,
        check=False,
    )
    if shown.returncode != 0 or not shown.stdout.strip():
        raise MeasurementError(f"nvidia-smi shows no card: {shown.stdout}{shown.stderr}")
    uuid, model, driver, memory_mib = (part.strip() for part in shown.stdout.splitlines()[0].split(","))
    return Card(uuid=uuid, model=model, driver=driver, memory_mib=int(memory_mib), python=python, library=library)


def simulated_card(*, machine: Path, fakes: Path, cudart: Path, state: Path, python: str, library: Path) -> Card:
    """The first card of a simulated machine, on which every kernel takes 0.2 ms."""
    described = json.loads(machine.read_text(encoding="utf-8"))
    device = described["devices"][0]
    return Card(
        uuid=device["uuid"],
        model=f"{device['model']} (simulated)",
        driver=described["driver_version"],
        memory_mib=device["memory_mib"],
        python=python,
        library=library,
        variables={
            "LD_LIBRARY_PATH": str(fakes.resolve()),
            "HAMI_FAKE_MACHINE": str(machine.resolve()),
            "HAMI_FAKE_STATE": str(state),
            "HAMI_FAKE_KERNEL_NS": "200000",
            "HAMI_CUDART": str(cudart.resolve()),
        },
    )


@contextlib.contextmanager
def environment(card: Card, share: Share | None) -> Iterator[dict[str, str]]:
    """Variables of programs in one container with this share; None: without the library."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("HAMI_", "LD_PRELOAD"))}
    variables |= {"CUDA_VISIBLE_DEVICES": "0", **card.variables}
    with tempfile.TemporaryDirectory(prefix="hami-gpu-") as folder:
        if share is not None:
            variables["LD_PRELOAD"] = str(card.library.resolve())
        if share is not None and share.memory_mib is not None:
            limits = Path(folder) / "limits"
            limits.write_text(
                f"hami-limits 1\nregion {folder}/region\ncore-policy {share.policy}\n"
                f"device {card.uuid} memory_mib={share.memory_mib} core_percent={share.core_percent}\n",
                encoding="utf-8",
            )
            variables["HAMI_LIMITS_FILE"] = str(limits)
        yield variables


def start(card: Card, variables: dict[str, str], *words: str, settings: str = "") -> subprocess.Popen[str]:
    """Start a workload in a container's environment; `settings` are PyTorch's allocator's."""
    return subprocess.Popen(
        [card.python, str(HERE / "workloads.py"), *words],
        env={**variables, "PYTORCH_ALLOC_CONF": settings, "PYTORCH_CUDA_ALLOC_CONF": settings},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result(program: subprocess.Popen[str]) -> Any:
    """What a workload found.

    Raises:
        MeasurementError: it failed, or took too long.
    """
    try:
        said, complained = program.communicate("\n", timeout=PATIENCE_S)
    except subprocess.TimeoutExpired as err:
        program.kill()
        program.communicate()
        raise MeasurementError(f"{program.args} took longer than {PATIENCE_S} s") from err
    if program.returncode != 0 or not said.strip():
        raise MeasurementError(f"{program.args} exited with {program.returncode}: {complained[-2000:]}")
    return json.loads(said.splitlines()[-1])


def run(card: Card, share: Share | None, *words: str, settings: str = "") -> Any:
    """One workload in a container of its own; what it found."""
    with environment(card, share) as variables:
        return result(start(card, variables, *words, settings=settings))
