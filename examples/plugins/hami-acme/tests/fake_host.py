"""A host as Acme's driver would show it, laid out from a machine file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from hami_acme.probe import ROOT_ENV

MACHINE = Path(__file__).parents[1] / "hami_acme" / "machines" / "acme-ring8.json"


def lay_out(root: Path) -> Mapping[str, str]:
    """Write the driver's files under `root`; return the environment in which the probe reads them."""
    machine = json.loads(MACHINE.read_text(encoding="utf-8"))
    folder = root / "sys/class/acme"
    folder.mkdir(parents=True)
    (folder / "version").write_text(machine["driver_version"], encoding="utf-8")
    for card in machine["devices"]:
        place = folder / f"npu{card['index']}"
        place.mkdir()
        facts = {
            "uuid": card["uuid"],
            "model": card["model"],
            "memory_mib": card["memory_mib"],
            "cores": card["core_units"],
            "numa_node": card["numa"],
            "health": "ok",
            "neighbours": " ".join(link["peer_uuid"] for link in card["links"]),
            **card["custom"],
        }
        for name, value in facts.items():
            (place / name).write_text(f"{value}\n", encoding="utf-8")
    return {ROOT_ENV: str(root)}
