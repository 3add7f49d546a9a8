"""`hami ps`: what people read of leases; what programs read is tested with `hami run`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hami_core.cli.output import stdout
from hami_core.cli.ps import _tables
from hami_core.local.lease import Lease
from hami_core.local.machine import Machine
from hami_core.local.process import describe
from hami_core.local.usage import CardUse, LeaseUse
from hami_core.model import DeviceShare

from .conftest import Hami

HERE = Machine(name="box", folder=Path("/nowhere"))
TOY = Machine(name="toy", folder=Path("/nowhere"), simulated=True)


def use(
    machine: Machine, *cards: CardUse, command: tuple[str, ...] = ("train",), lease_id: str = "0a1b2c3d"
) -> LeaseUse:
    owner = describe(os.getpid())
    assert owner is not None
    shares = tuple(card.share for card in cards)
    lease = Lease(id=lease_id, owner=owner, command=command, uid=0, started_s=1.0, family="NVIDIA", shares=shares)
    return LeaseUse(machine=machine, lease=lease, cards=cards)


def card(uuid: str = "GPU-0", *, cores: int = 0, memory_mib: int | None = 100, busy_s: float | None = 2.0) -> CardUse:
    return CardUse(
        share=DeviceShare(uuid=uuid, memory_mib=8000, core_units=cores), memory_mib=memory_mib, busy_s=busy_s
    )


def printed(capsys: pytest.CaptureFixture[str], *uses: LeaseUse, **earlier: object) -> list[list[str]]:
    console = stdout()
    for part in _tables(uses, console, **earlier):  # type: ignore[arg-type]
        console.print(part)
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_each_machine_has_a_table_and_each_card_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    first = use(HERE, card("GPU-0", cores=30), card("GPU-1"), command=("python", "my train.py"))
    lines = printed(capsys, first, use(TOY, card(), lease_id="99999999"))
    pid = str(os.getpid())
    assert lines == [
        ["box"],
        ["LEASE", "PID", "USER", "DEVICE", "MEMORY", "MIB", "CORES", "%", "COMMAND"],
        ["0a1b2c3d", pid, "root", "GPU-0", "100/8000", "30", "python", "'my", "train.py'"],
        ["GPU-1", "100/8000", "100"],
        ["toy", "(simulated)"],
        ["LEASE", "PID", "USER", "DEVICE", "MEMORY", "MIB", "CORES", "%", "COMMAND"],
        ["99999999", pid, "root", "GPU-0", "100/8000", "100", "train"],
    ]


def test_with_an_earlier_look_cores_show_what_was_used_since(capsys: pytest.CaptureFixture[str]) -> None:
    before, now = use(HERE, card(cores=30, busy_s=2.0)), use(HERE, card(cores=30, busy_s=2.5))
    lines = printed(capsys, now, before={"0a1b2c3d": before}, over_s=2.0)
    assert lines[2][5] == "25/30"
    newcomer = printed(capsys, now, before={}, over_s=2.0)
    assert newcomer[2][5] == "30"


def test_use_that_cannot_be_read_is_a_question_mark_not_zero(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, use(HERE, card(memory_mib=None, busy_s=None)))
    assert lines[2][4] == "?/8000"


def test_a_long_command_is_cut_and_markup_in_it_means_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(printed(capsys, use(HERE, card(), command=("sh", "[red]" + "x" * 100)))[2])
    assert "sh '[red]xxx" in text
    assert text.endswith("xxx...")


def test_watching_is_for_people(hami: Hami) -> None:
    outcome = hami("ps", "--watch", "-o", "json")
    assert outcome.code == 2
    assert (
        outcome.err == "hami: --watch is for people; drop -o, or run hami ps again for each look (see hami ps --help)\n"
    )


def test_without_leases_it_says_so_and_makes_no_state(hami: Hami, environ: dict[str, str]) -> None:
    assert hami("ps").out == "no leases\n"
    assert not Path(environ["HAMI_STATE_DIR"]).exists()
