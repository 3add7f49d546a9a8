"""PyTorch's own allocators inside a share of a simulated card. Nothing is computed; memory is counted as on a card.

Run by ``make test-torch``, which installs PyTorch (5 GB) into build/torch.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

WORKLOADS = str(Path(__file__).resolve().parents[2] / "benchmarks" / "gpu" / "workloads.py")
SHARE_MIB = 1000
BLOCK_MIB = 64
ALLOCATORS = {
    "native": "",
    "expandable segments": "expandable_segments:True",
    "cudaMallocAsync": "backend:cudaMallocAsync",
}

Run = Callable[..., Any]


@pytest.mark.parametrize("settings", ALLOCATORS.values(), ids=ALLOCATORS)
def test_an_allocator_is_refused_past_the_share_and_all_that_it_gave_back_can_be_had_again(
    torch_program: Run, settings: str
) -> None:
    seen = torch_program(WORKLOADS, "memory", memory_mib=SHARE_MIB, PYTORCH_ALLOC_CONF=settings)
    assert seen["before"]["total_mib"] == SHARE_MIB
    assert seen["held_mib"] == seen["before"]["free_mib"] // BLOCK_MIB * BLOCK_MIB
    assert seen["full"]["free_mib"] < BLOCK_MIB
    assert seen["emptied"] == seen["before"]
    assert seen["again_mib"] == seen["held_mib"] // BLOCK_MIB // 2 * BLOCK_MIB


@pytest.mark.parametrize("settings", ALLOCATORS.values(), ids=ALLOCATORS)
def test_the_text_of_a_refusal_speaks_of_the_share_and_not_of_the_card(torch_program: Run, settings: str) -> None:
    seen = torch_program(WORKLOADS, "memory", memory_mib=SHARE_MIB, PYTORCH_ALLOC_CONF=settings)
    assert "1000.00 MiB" in seen["refused"]
    assert f"{seen['full']['free_mib']}.00 MiB" in seen["refused"]


def test_the_memory_of_a_captured_graph_counts(torch_program: Run) -> None:
    seen = torch_program(WORKLOADS, "graphs", memory_mib=SHARE_MIB)
    whole = torch_program(WORKLOADS, "graphs")
    used_mib, whole_mib = (one["info"]["total_mib"] - one["info"]["free_mib"] for one in (seen, whole))
    assert used_mib == whole_mib
    assert used_mib > BLOCK_MIB
    assert seen["sum"] == whole["sum"]


def test_two_programs_in_one_share_hold_no_more_than_it_together(torch_program: Run, tmp_path: Path) -> None:
    both = tmp_path / "both.py"
    both.write_text(
        "import json, subprocess, sys\n"
        "one = [sys.executable, *sys.argv[1:], 'hold']\n"
        "programs = [subprocess.Popen(one, stdin=-1, stdout=-1, text=True) for _ in range(2)]\n"
        "held = [int(program.stdout.readline()) for program in programs]\n"
        "[program.communicate('\\n') for program in programs]\n"
        "print(json.dumps(held))\n"
    )
    held = torch_program(str(both), WORKLOADS, memory_mib=2 * SHARE_MIB)
    assert 0 < sum(held) < 2 * SHARE_MIB
    assert sum(held) > SHARE_MIB
