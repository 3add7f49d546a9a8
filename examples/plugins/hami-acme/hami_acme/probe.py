"""What this host has, from the files of Acme's driver: ``/sys/class/acme/npu<n>/``."""

from __future__ import annotations

import os
from pathlib import Path

from hami_core.behaviour import Link, ProbedDevice, ProbeReport

ROOT_ENV = "HAMI_ACME_ROOT"
"""Names the root to read under instead of ``/``, for tests."""


def probe() -> ProbeReport:
    """The cards of this host."""
    return probe_under(Path(os.environ.get(ROOT_ENV, "/")))


def probe_under(root: Path) -> ProbeReport:
    """The cards of the host whose files lie under `root`.

    Raises:
        OSError, ValueError: the driver is there, but a card cannot be read.
    """
    folder = root / "sys/class/acme"
    try:
        entries = [entry for entry in folder.iterdir() if entry.name.startswith("npu")]
    except FileNotFoundError:
        return ProbeReport(vendor="acme", missing=f"the Acme driver is not loaded: there is no {folder}")
    cards = sorted((int(entry.name.removeprefix("npu")), entry) for entry in entries)
    return ProbeReport(
        vendor="acme",
        driver=_text(folder / "version"),
        devices=tuple(_card(entry, index) for index, entry in cards),
    )


def _card(folder: Path, index: int) -> ProbedDevice:
    return ProbedDevice(
        uuid=_text(folder / "uuid"),
        index=index,
        model=_text(folder / "model"),
        memory_mib=int(_text(folder / "memory_mib")),
        core_units=int(_text(folder / "cores")),
        numa=int(_text(folder / "numa_node")),
        healthy=_text(folder / "health") == "ok",
        links=tuple(Link(peer_uuid=peer, kind="ring") for peer in _text(folder / "neighbours").split()),
        custom={"ring": int(_text(folder / "ring")), "place": int(_text(folder / "place"))},
    )


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8").strip()
