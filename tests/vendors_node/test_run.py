"""`hami run` on every vendor's simulated machine: a program sees its share, and gets no more."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hami_core.local.sight import look_at
from hami_core.local.usage import uses_on
from hami_core.monitor.devices import DeviceWatch

from .vendors import CLIENT, TIMEOUT_S, Host

HAMI = (sys.executable, "-c", "import sys; from hami_core.cli import main; main()")


@pytest.fixture(autouse=True)
def _books(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HAMI_STATE_DIR", str(tmp_path / "books"))


def hami(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*HAMI, *words], capture_output=True, text=True, check=False, timeout=TIMEOUT_S)


def run(host: Host, *options: str, verb: tuple[str, ...]) -> dict[str, int]:
    client = (sys.executable, str(CLIENT), host.vendor.name, *verb)
    done = hami("run", "--simulate", host.vendor.machine, *options, "--", *client)
    assert done.returncode == 0, done.stderr
    said: dict[str, int] = json.loads(done.stdout)
    return said


def test_a_program_sees_its_share_instead_of_the_card(host: Host) -> None:
    assert run(host, "--memory", "3000", verb=("look",))["total_mib"] == 3000


def test_a_program_gets_its_share_and_then_the_vendors_own_refusal(host: Host) -> None:
    said = run(host, "--memory", "3000", verb=("fill", "500"))
    assert said["code"] == host.vendor.out_of_memory
    assert 5 <= said["pieces"] <= 6  # a context of NVIDIA's takes some of it


def test_a_program_on_the_last_card_is_held_there(host: Host) -> None:
    last = host.vendor.file.report().devices[-1].uuid
    assert run(host, "--memory", "2000", "--uuid", last, verb=("fill", "500"))["code"] == host.vendor.out_of_memory


def test_two_programs_that_do_not_fit_on_one_card_get_one_each(host: Host) -> None:
    most = host.vendor.file.report().devices[0].memory_mib
    assert most is not None
    share = str(most * 6 // 10)
    inner = (*HAMI, "run", "--simulate", host.vendor.machine, "--memory", share, "--")
    client = (sys.executable, str(CLIENT), host.vendor.name, "look")
    done = hami("run", "--simulate", host.vendor.machine, "--memory", share, "--", *inner, *client)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["total_mib"] == int(share)


def test_the_devices_are_listed(host: Host) -> None:
    done = hami("devices", "--simulate", host.vendor.machine, "--output", "json")
    assert done.returncode == 0, done.stderr
    for card in host.vendor.file.report().devices:
        assert card.uuid in done.stdout


def test_what_a_share_uses_is_shown_to_people_and_to_the_monitor(host: Host) -> None:
    client = (sys.executable, str(CLIENT), host.vendor.name, "hold", "1000")
    command = [*HAMI, "run", "--simulate", host.vendor.machine, "--memory", "3000", "--", *client]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert json.loads(holder.stdout.readline()) == {"code": 0}
        (use,) = uses_on(host.machine)
        watch = DeviceWatch([lambda: look_at(host.machine, host.vendor.registry)])
        seen = {each.card.device.uuid: each.card.probed for each in watch.look().devices}
        holder.stdin.close()
    (card,) = use.cards
    assert card.memory_mib is not None
    assert 1000 <= card.memory_mib <= 1400  # a context of NVIDIA's takes some
    used = {uuid: (probed.memory_used_mib or 0) for uuid, probed in seen.items()}
    assert used[card.share.uuid] >= 1000
    assert all(mib < 1000 for uuid, mib in used.items() if uuid != card.share.uuid)
