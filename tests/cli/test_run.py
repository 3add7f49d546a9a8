"""`hami run` and `hami ps` on a simulated machine: shares are taken, held, told and given back."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hami_core.local.process import describe
from hami_core.registry import load_registry

from .conftest import HAMI, Hami, Outcome

MACHINE = ("--simulate", "a40x2")
FIRST, SECOND = "GPU-b0398273-1d16-5056-8113-8e1497fc00e0", "GPU-ff046de2-7067-5d75-8a58-2e41067c3c40"

Running = Callable[..., "contextlib.AbstractContextManager[subprocess.Popen[str]]"]


@pytest.fixture
def running(environ: dict[str, str]) -> Running:
    """Start `hami run` with a share and wait until its command has said that it runs."""

    @contextlib.contextmanager
    def start(*share: str, first: str = ":", body: str = "exec sleep 300") -> Iterator[subprocess.Popen[str]]:
        command = [HAMI, "run", *MACHINE, *share, "--", "sh", "-c", f"{first}; echo $$; {body}"]
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=environ, start_new_session=True,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            said = process.stdout.readline()
            assert said, process.communicate()[1]
            process.command_pid = int(said)  # type: ignore[attr-defined]
            try:
                yield process
            finally:
                for pid in (process.pid, int(said)):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)

    return start


def leases(hami: Hami) -> list[dict[str, Any]]:
    outcome = hami("ps", *MACHINE, "-o", "json")
    assert outcome.code == 0, outcome.err
    listed: list[dict[str, Any]] = json.loads(outcome.out)["leases"]
    return listed


def folders(environ: dict[str, str]) -> list[Path]:
    return sorted(Path(environ["HAMI_STATE_DIR"]).glob("simulated/a40x2-*/leases/*"))


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_command_sees_its_share_and_its_exit_code_comes_back(hami: Hami, environ: dict[str, str]) -> None:
    share = ("--count", "2", "--memory-percent", "50", "--cores", "30", "--uuid", FIRST[:8], "--uuid", SECOND[:8])
    outcome = hami(
        "run", *MACHINE, *share, "--", "sh", "-c", 'cat "$HAMI_LIMITS_FILE"; echo $CUDA_VISIBLE_DEVICES; exit 3'
    )
    assert outcome.code == 3, outcome.err
    lines = outcome.out.splitlines()
    seen = lines.pop().split(",")
    assert sorted(seen) == [FIRST, SECOND]
    assert [line for line in lines if line.startswith("device ")] == [
        f"device {uuid} memory_mib=23034 core_percent=30" for uuid in seen
    ]
    assert leases(hami) == []
    assert folders(environ) == []


def test_the_exit_code_comes_back_even_when_the_books_are_gone_by_then(hami: Hami) -> None:
    outcome = hami("run", *MACHINE, "--", "sh", "-c", 'rm -r "$HAMI_STATE_DIR"; exit 4')
    assert (outcome.code, outcome.err) == (4, "")


def test_the_limits_cannot_be_written_by_mistake_and_the_folder_is_private(hami: Hami) -> None:
    body = 'stat -c %a "$HAMI_LIMITS_FILE" "$(dirname "$HAMI_LIMITS_FILE")"'
    assert hami("run", *MACHINE, "--", "sh", "-c", body).out.split() == ["444", "700"]


def test_ps_shows_who_holds_what(hami: Hami, running: Running, environ: dict[str, str]) -> None:
    with running("--memory", "8000", "--cores", "30", "--priority", "1", "--uuid", FIRST) as process:
        (lease,) = leases(hami)
        table = hami("ps").out
    assert lease.pop("started_s") <= time.time()
    assert {
        "id": lease["id"],
        "machine": "a40x2",
        "simulated": True,
        "pid": process.command_pid,  # type: ignore[attr-defined]
        "pids": [],
        "user": subprocess.check_output(["id", "-un"], text=True).strip(),
        "command": ["sh", "-c", ":; echo $$; exec sleep 300"],
        "family": "NVIDIA",
        "priority": 1,
        "oversubscribe": False,
        "devices": [
            {
                "uuid": FIRST,
                "memory_limit_mib": 8000,
                "memory_used_mib": 0,
                "core_limit_percent": 30,
                "busy_s": 0.0,
                "refused": 0,
            }
        ],
    } == lease
    assert f"{lease['id']}  " in table
    assert "0/8000" in table


def test_without_room_each_card_says_why_with_numbers_and_the_exit_code_is_75(hami: Hami, running: Running) -> None:
    with running("--memory", "30000", "--uuid", FIRST), running("--memory", "40000", "--uuid", SECOND):
        outcome = hami("run", *MACHINE, "--memory", "20000", "--", "true")
    assert outcome.code == 75
    first, *cards = outcome.err.splitlines()
    assert first == "hami: no room on a40x2 for 1 card with 20000 MiB: 2/2 CardInsufficientMemory"
    assert [line.split(";")[0] for line in cards] == [
        f"  {FIRST} (A40): 20000 MiB asked, 16068 MiB free of 46068",
        f"  {SECOND} (A40): 20000 MiB asked, 6068 MiB free of 46068",
    ]


def test_more_than_a_card_has_is_refused_at_once_whatever_the_patience(hami: Hami) -> None:
    outcome = hami("run", *MACHINE, "--memory", "50000", "--wait", "600", "--", "true")
    assert outcome.code == 75
    assert "50000 MiB asked, 46068 MiB free of 46068" in outcome.err
    assert outcome.err.endswith("It would not fit either if nothing else ran; ask for less.\n")


def test_waiting_ends_when_room_comes(hami: Hami, running: Running, environ: dict[str, str]) -> None:
    with running("--count", "2") as holder:
        command = [HAMI, "run", *MACHINE, "--wait", "300", "--", "echo", "ran"]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ
        ) as waiter:
            assert waiter.stderr is not None
            assert waiter.stderr.readline().startswith("hami: waiting for room on a40x2: 2/2 Card")
            holder.terminate()
            out, errors = waiter.communicate()
    assert (waiter.returncode, out) == (0, "ran\n"), errors


def test_waiting_ends_with_75_when_patience_does_and_with_130_at_ctrl_c(
    hami: Hami, running: Running, environ: dict[str, str]
) -> None:
    with running("--count", "2"):
        assert hami("run", *MACHINE, "--wait", "1", "--", "true").code == 75
        command = [HAMI, "run", *MACHINE, "--wait", "300", "--", "true"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environ) as waiter:
            assert waiter.stderr is not None
            waiter.stderr.readline()
            waiter.send_signal(signal.SIGINT)
            errors = waiter.communicate()[1]
        assert (waiter.returncode, errors) == (130, "")
        assert len(leases(hami)) == 1


def test_two_that_race_for_the_last_share_never_both_get_it(
    hami: Hami, running: Running, environ: dict[str, str]
) -> None:
    with running("--memory", "46000", "--uuid", FIRST), running("--memory", "26000", "--uuid", SECOND):
        command = [HAMI, "run", *MACHINE, "--memory", "20000", "--", "sh", "-c", "echo in; read line"]
        racers = [
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ
            )
            for _ in range(3)
        ]
        first_words = [racer.stdout.readline() for racer in racers if racer.stdout is not None]
        codes = sorted((racer.communicate("\n"), racer.returncode)[1] for racer in racers)
    assert sorted(first_words) == ["", "", "in\n"]
    assert codes == [0, 75, 75]


def test_ctrl_c_reaches_the_command_and_the_lease_is_released(
    hami: Hami, running: Running, environ: dict[str, str]
) -> None:
    with running(first="trap 'exit 9' INT", body="while :; do sleep 0.05; done") as process:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 9
    assert leases(hami) == []
    assert folders(environ) == []


def test_a_lease_outlives_a_killed_hami_as_long_as_the_command_runs(
    hami: Hami, running: Running, environ: dict[str, str]
) -> None:
    with running("--memory", "8000") as process:
        process.kill()
        process.wait()
        (lease,) = leases(hami)
        assert lease["pid"] == process.command_pid  # type: ignore[attr-defined]
        os.kill(lease["pid"], signal.SIGKILL)
        eventually(lambda: describe(lease["pid"]) is None)
    assert len(folders(environ)) == 1
    assert leases(hami) == []
    assert folders(environ) == []


def test_a_command_killed_together_with_hami_leaves_room_for_the_next_one(hami: Hami, running: Running) -> None:
    with running("--count", "2") as process:
        for pid in (process.pid, process.command_pid):  # type: ignore[attr-defined]
            os.kill(pid, signal.SIGKILL)
        process.wait()
        eventually(lambda: describe(process.command_pid) is None)  # type: ignore[attr-defined]
    assert hami("run", *MACHINE, "--count", "2", "--", "true").code == 0


def test_memory_of_an_oversubscribing_lease_is_a_limit_and_takes_no_room(hami: Hami, running: Running) -> None:
    body = 'cat "$HAMI_LIMITS_FILE"'
    with running("--memory", "46000", "--uuid", FIRST):
        share = ("--oversubscribe", "--memory", "60000", "--uuid", FIRST)
        outcome = hami("run", *MACHINE, *share, "--", "sh", "-c", body)
        assert f"device {FIRST} memory_mib=60000" in outcome.out, outcome.err
        assert "oversubscribe yes\n" in outcome.out
    with running("--memory", "46000", "--oversubscribe", "--uuid", FIRST):
        assert hami("run", *MACHINE, "--memory", "46000", "--uuid", FIRST, "--", "true").code == 0


# Takes more than the card has (45416 MiB), and says what the driver answered and how the region counts it.
SPILL = """
import ctypes, os
from pathlib import Path
from hami_core.isolation.limits import parse_limits
from hami_core.isolation.region import read_region
cu = ctypes.CDLL("libcuda.so.1")
context, pointer = ctypes.c_void_p(), ctypes.c_uint64()
assert cu.cuInit(0) == 0 and cu.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0) == 0
assert cu.cuCtxSetCurrent(context) == 0
print(*(cu.cuMemAlloc_v2(ctypes.byref(pointer), ctypes.c_size_t(mib << 20)) for mib in (40000, 15000, 15000)))
region = read_region(parse_limits(Path(os.environ["HAMI_LIMITS_FILE"]).read_text()).region)
held = region.used_bytes_by_class(0)
print(held["buffer"] >> 20, held["managed"] >> 20)
"""


def test_what_the_card_has_no_room_for_is_counted_as_managed(hami: Hami) -> None:
    share = ("--oversubscribe", "--memory", "60000", "--uuid", FIRST)
    outcome = hami("run", *MACHINE, *share, "--", sys.executable, "-c", SPILL)
    assert outcome.out == "0 0 2\n40000 15000\n", outcome.err


def test_machines_that_differ_in_anything_have_books_of_their_own(hami: Hami, running: Running, tmp_path: Path) -> None:
    mine = tmp_path / "mine.json"
    mine.write_text(load_registry().machine_files["a40x2"].read_text() + "\n")
    with running("--count", "2"):
        assert hami("run", *MACHINE, "--count", "2", "--", "true").code == 75
        assert hami("run", "--simulate", str(mine), "--count", "2", "--", "true").code == 0


def test_one_more_command_can_enter_a_share(hami: Hami, running: Running) -> None:
    with running("--memory", "8000", "--uuid", SECOND):
        (lease,) = leases(hami)
        inside = hami("exec", lease["id"][:4], "--", "sh", "-c", 'grep device "$HAMI_LIMITS_FILE"; exit 5')
    assert (inside.code, inside.out) == (5, f"device {SECOND} memory_mib=8000 core_percent=0\n"), inside.err
    assert hami("exec", lease["id"], "true") == Outcome(2, "", f'hami: no lease named "{lease["id"]}"\n')


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        pytest.param(["--memory", "16Gi"], 2, 'a whole number of MiB, 1 or more; got "16Gi" (write 16384)', id="bytes"),
        pytest.param(["--memory", "1", "--memory-percent", "1"], 2, "exclude each other; drop one", id="both"),
        pytest.param(["--cores", "101"], 2, 'a whole number of percent, 0 to 100; got "101"', id="cores"),
        pytest.param(["--cores", "-1"], 2, '0 to 100; got "-1"', id="negative"),
        pytest.param(["--cores", "1.5"], 2, '0 to 100; got "1.5"', id="fraction"),
        pytest.param(["--count", "0"], 2, "--count must be a whole number of cards, 1 or more", id="no cards"),
        pytest.param(["--vendor", "amd"], 2, 'no vendor on a40x2 named "amd"; known: nvidia', id="vendor"),
        pytest.param(["--uuid", "GPU-"], 2, f'no single card named "GPU-"; known: {FIRST}, {SECOND}', id="vague uuid"),
        pytest.param(["--uuid", "X"], 2, f'no card named "X"; known: {FIRST}, {SECOND}', id="unknown uuid"),
        pytest.param(["--simulate", "nope"], 2, 'no simulated machine named "nope"; known: a100-mig', id="machine"),
        pytest.param(["--simulate", "./no.json"], 2, "/no.json: cannot be read: No such file", id="no file"),
        pytest.param(["--simulate", "/etc/passwd"], 2, "/etc/passwd: is not a machine file", id="text"),
        pytest.param(["--device-type", "H100"], 75, "2/2 CardTypeMismatch", id="type"),
        pytest.param(["--count", "3"], 75, "for 3 cards with all of its memory: NodeInsufficientDevice", id="three"),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_line(hami: Hami, arguments: list[str], code: int, message: str) -> None:
    outcome = hami("run", *MACHINE, *arguments, "--", "true")
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.err.splitlines()[0]
    assert code != 2 or outcome.err.count("\n") == 1


@pytest.mark.parametrize(("program", "code"), [("no-such-program", 127), ("/etc/passwd", 126)])
def test_a_program_that_cannot_run_takes_no_lease(hami: Hami, environ: dict[str, str], program: str, code: int) -> None:
    outcome = hami("run", *MACHINE, "--", program)
    assert outcome.code == code
    assert outcome.err.startswith(f"hami: cannot run {program}: ")
    assert not Path(environ["HAMI_STATE_DIR"]).exists()


def test_an_unknown_plugin_and_a_missing_library_are_one_line(hami: Hami, tmp_path: Path) -> None:
    unknown = hami("devices", HAMI_PLUGINS="foo")
    assert unknown.code == 2
    assert unknown.err.startswith('hami: no plugin (HAMI_PLUGINS) named "foo"; known: ')
    assert unknown.err.count("\n") == 1


def test_a_host_without_cards_says_so_and_how_to_try(hami: Hami) -> None:
    outcome = hami("run", "--", "true", HAMI_PLUGINS="mlu")  # which has no way to look at this host
    assert outcome.code == 2
    assert outcome.err.endswith("; try it with --simulate a40x2\n")
