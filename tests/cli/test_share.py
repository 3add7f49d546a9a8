"""Inside a share: ordinary CUDA programs see it, are held to it, and share it with all that the command starts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import HAMI, Hami

EXAMPLES = Path(__file__).parents[2] / "examples" / "nvidia"
HOLD = (sys.executable, str(EXAMPLES / "hold_memory.py"))
TABLE = (sys.executable, str(EXAMPLES / "device_table.py"))
MACHINE = ("--simulate", "a40x2")


def holding(environ: dict[str, str], *share: str, mib: int) -> subprocess.Popen[str]:
    """A command in a share of its own that holds `mib` MiB until its stdin closes."""
    process = subprocess.Popen(
        [HAMI, "run", *MACHINE, *share, "--", *HOLD, str(mib)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=environ,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == f"holds {mib} MiB\n"
    return process


def test_nvml_shows_the_share_as_the_card(hami: Hami) -> None:
    outcome = hami("run", *MACHINE, "--count", "2", "--memory-percent", "50", "--", *TABLE)
    assert outcome.code == 0, outcome.err
    assert outcome.out.count("/ 23034MiB") == 2


@pytest.mark.parametrize(
    ("mib", "answer"), [(7000, "holds 7000 MiB\n"), (8001, ""), (40000, "")], ids=["inside", "just past", "far past"]
)
def test_cuda_gives_what_the_share_has_and_its_own_error_past_that(hami: Hami, mib: int, answer: str) -> None:
    outcome = hami("run", *MACHINE, "--memory", "8000", "--", *HOLD, str(mib))
    assert outcome.out == answer, outcome.err
    assert (outcome.code, outcome.err) == ((0, "") if answer else (1, "refused: CUDA_ERROR_OUT_OF_MEMORY\n"))


def test_processes_of_one_share_have_one_limit_together(hami: Hami, environ: dict[str, str]) -> None:
    with holding(environ, "--memory", "8000", mib=5000) as first:
        (lease,) = json.loads(hami("ps", "-o", "json").out)["leases"]
        second = hami("exec", lease["id"], "--", *HOLD, "3000")
        assert second.err == "refused: CUDA_ERROR_OUT_OF_MEMORY\n"
        assert hami("exec", lease["id"], "--", *HOLD, "2000").out == "holds 2000 MiB\n"
        assert first.stdin is not None
        first.stdin.close()
        assert first.wait(60) == 0


def test_what_one_share_refuses_or_takes_leaves_its_neighbour_alone(hami: Hami, environ: dict[str, str]) -> None:
    with holding(environ, "--memory", "8000", "--uuid", "GPU-b", mib=5000) as neighbour:
        refused = hami("run", *MACHINE, "--memory", "8000", "--uuid", "GPU-b", "--", *HOLD, "20000")
        assert refused.code == 1
        assert hami("run", *MACHINE, "--memory", "8000", "--uuid", "GPU-b", "--", *HOLD, "7000").code == 0
        assert neighbour.stdin is not None
        assert neighbour.stdout is not None
        neighbour.stdin.write("go on\n")
        assert neighbour.stdout.readline() == "still works on its 5000 MiB\n"
        neighbour.stdin.close()
        assert neighbour.wait(60) == 0


def test_ps_counts_what_the_processes_hold(hami: Hami, environ: dict[str, str]) -> None:
    with holding(environ, "--memory", "8000", mib=5000) as process:
        (lease,) = json.loads(hami("ps", "-o", "json").out)["leases"]
        (device,) = lease["devices"]
        assert 5000 <= device["memory_used_mib"] <= 8000
        assert lease["pids"] == [lease["pid"]]
        assert process.stdin is not None
        process.stdin.close()
        process.wait(60)


def test_a_program_left_in_the_background_keeps_the_lease_until_it_ends(
    hami: Hami, environ: dict[str, str], tmp_path: Path
) -> None:
    fifo, said = tmp_path / "fifo", tmp_path / "said"
    os.mkfifo(fifo)
    held_open = os.open(fifo, os.O_RDWR)
    body = f"{' '.join(HOLD)} 5000 < {fifo} > {said} 2>&1 & until grep -q holds {said}; do sleep 0.05; done"
    outcome = hami("run", *MACHINE, "--memory", "40000", "--uuid", "GPU-b", "--", "sh", "-c", body)
    assert outcome.code == 0, outcome.err
    (lease,) = json.loads(hami("ps", "-o", "json").out)["leases"]
    (background,) = lease["pids"]
    assert background != lease["pid"]
    assert hami("run", *MACHINE, "--memory", "40000", "--uuid", "GPU-b", "--", "true").code == 75
    os.kill(background, signal.SIGKILL)
    os.close(held_open)
    assert hami("run", *MACHINE, "--memory", "40000", "--uuid", "GPU-b", "--", "true").code == 0
