"""What PyTorch's programs do besides allocating, inside a share: processes, forked workers, Triton's kernels."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from benchmarks.gpu.card import Share, environment, simulated_card
from tests.torch.conftest import PATIENCE_S, TORCH

from hami_core.packaged import packaged

PROGRAMS = Path(__file__).resolve().parent / "programs"
SHARE_MIB = 1000

Run = Callable[..., Any]


def test_a_tensor_that_another_process_opened_counts_once(torch_program: Run) -> None:
    seen = torch_program(str(PROGRAMS / "shared_tensor.py"), memory_mib=SHARE_MIB)
    assert seen["exit_status"] == 0
    assert seen["shared_mib"] == seen["apart_mib"]
    assert seen["apart_mib"] > 200


def test_forked_workers_and_pinned_memory_take_nothing_of_the_share(torch_program: Run) -> None:
    assert torch_program(str(PROGRAMS / "loader.py"), memory_mib=SHARE_MIB) == {"batches": 16, "grown_mib": 0}


def test_kernels_that_triton_launches_are_held_to_the_core_share(environ: dict[str, str], tmp_path: Path) -> None:
    card = simulated_card(
        machine=packaged("hami_nvidia", "machines/a40x2.json"),
        fakes=packaged("hami_nvidia", "lib/fake"),
        cudart=Path(environ["HAMI_CUDART"]),
        state=tmp_path / "state",
        python=str(TORCH / "bin" / "python"),
        library=packaged("hami_nvidia", "lib/libhami_nvidia.so"),
    )
    share = Share(memory_mib=SHARE_MIB, core_percent=20, policy="force")
    program = [card.python, str(PROGRAMS / "triton_kernel.py")]
    with environment(card, share) as variables:
        variables |= {"TRITON_CACHE_DIR": str(tmp_path / "triton"), "HAMI_FAKE_KERNEL_NS": "1000000"}
        done = subprocess.run(program, env=variables, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    # 400 kernels of 1 ms are 0.4 s of the device: 2 s in a fifth of it, when they start with nothing saved up.
    assert msgspec.json.decode(done.stdout.splitlines()[-1])["seconds"] > 1.5
