"""A host as the amdgpu and amdkfd drivers show it, laid out from a machine file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hami_amd.probe import ROOT_ENV

MACHINE = Path(__file__).parents[1] / "hami_amd" / "machines" / "mi300x8.json"
_SIMDS = 4


def lay_out(root: Path) -> Mapping[str, str]:
    """Write the drivers' files under `root`; return the environment in which the probe reads them."""
    machine = json.loads(MACHINE.read_text(encoding="utf-8"))
    write(root / "sys/module/amdgpu/version", machine["driver_version"])
    write(
        root / "sys/class/kfd/kfd/topology/nodes/0/properties", "cpu_cores_count 96\nsimd_count 0\ndrm_render_minor 0"
    )
    nodes = {card["uuid"]: card["index"] + 1 for card in machine["devices"]}
    for card in machine["devices"]:
        _card(root, card)
        _node(root, card, nodes)
    return {ROOT_ENV: str(root)}


def write(file: Path, text: object) -> None:
    """Write a file of sysfs, with its folders."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{text}\n", encoding="utf-8")


def _card(root: Path, card: Mapping[str, Any]) -> None:
    folder = root / f"sys/class/drm/card{card['index']}/device"
    facts = {
        "vendor": "0x1002",
        "unique_id": card["uuid"].removeprefix("GPU-"),
        "product_name": card["model"],
        "mem_info_vram_total": card["memory_mib"] * 1024 * 1024,
        "mem_info_vram_used": 290 * 1024 * 1024,
        "gpu_busy_percent": 0,
        "numa_node": card["numa"],
    }
    for name, value in facts.items():
        write(folder / name, value)
    (folder / f"drm/renderD{card['render_minor']}").mkdir(parents=True)


def _node(root: Path, card: Mapping[str, Any], nodes: Mapping[str, int]) -> None:
    folder = root / "sys/class/kfd/kfd/topology/nodes" / str(nodes[card["uuid"]])
    simds = card["compute_units"] * _SIMDS
    write(
        folder / "properties",
        f"simd_count {simds}\nsimd_per_cu {_SIMDS}\ndrm_render_minor {card['render_minor']}",
    )
    for number, link in enumerate(card["links"]):
        write(folder / f"io_links/{number}/properties", f"type 11\nnode_to {nodes[link['peer_uuid']]}")
    write(folder / f"io_links/{len(card['links'])}/properties", "type 2\nnode_to 0")
