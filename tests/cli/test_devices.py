"""`hami devices` and `hami plugins`: what there is, told in full to programs and in 80 columns to people."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import termios
from pathlib import Path

import pytest

from hami_core.behaviour import Link, ProbedDevice
from hami_core.cli.devices import _links, _tables
from hami_core.cli.output import stdout
from hami_core.local.machine import Machine
from hami_core.local.sight import Card, Sight
from hami_core.model import Device

from .conftest import HAMI, Hami

GOLDEN = Path(__file__).parent / "golden"


def card(index: int, *links: Link, healthy: bool = True, memory_mib: int | None = 16384) -> Card:
    uuid = f"GPU-{index}"
    probed = ProbedDevice(
        uuid=uuid,
        index=index,
        model="NVIDIA T4",
        memory_mib=memory_mib,
        links=links,
        healthy=healthy,
        health_note="" if healthy else "Xid 79",
    )
    return Card(vendor="nvidia", probed=probed, device=Device(uuid=uuid, family="NVIDIA", model="T4", memory_mib=16384))


def printed(sight: Sight, capsys: pytest.CaptureFixture[str]) -> str:
    console = stdout()
    for part in _tables(sight, console):
        console.print(part)
    return capsys.readouterr().out


def sight(*cards: Card, **notes: dict[str, str]) -> Sight:
    return Sight(machine=Machine(name="box", folder=Path("/nowhere")), cards=cards, **notes)


def test_json_tells_all_that_the_driver_says(hami: Hami) -> None:
    outcome = hami("devices", "--simulate", "a40x2", "-o", "json")
    assert outcome.code == 0, outcome.err
    assert outcome.out == (GOLDEN / "devices-a40x2.json").read_text()


def test_looking_leaves_nothing_behind(hami: Hami, environ: dict[str, str]) -> None:
    hami("devices", "--simulate", "t4")
    assert not Path(environ["HAMI_STATE_DIR"]).exists()


def test_a_simulated_machine_is_a_node_that_a_pod_can_be_placed_on(hami: Hami, tmp_path: Path) -> None:
    (tmp_path / "node.json").write_text(hami("devices", "--simulate", "h100x8", "-o", "node").out)
    limits = {"nvidia.com/gpu": 8, "nvidia.com/gpumem-percentage": 50}
    pod = {"kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"resources": {"limits": limits}}]}}
    (tmp_path / "pod.json").write_text(json.dumps(pod))
    decision = json.loads(hami("schedule", "--cluster", "node.json", "-f", "pod.json", "-o", "json").out)
    (shares,) = decision["nodes"]["h100x8"]["devices"]["NVIDIA"]
    assert [share["memory_mib"] for share in shares] == [40779] * 8


def test_a_missing_driver_is_one_quiet_line(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(sight(missing={"nvidia": "libnvidia-ml.so.1 is not installed"}), capsys)
    assert text == "no devices on box\nnvidia: libnvidia-ml.so.1 is not installed\n"


def test_a_sick_card_says_what_it_has_and_unknown_memory_is_not_zero(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(sight(card(0, healthy=False), card(1, memory_mib=None)), capsys)
    assert "Xid 79" in text
    assert "unknown" in text


def test_links_are_told_by_index_in_ranges() -> None:
    peers = [Link(peer_uuid=f"GPU-{index}", kind="nvlink", count=18) for index in (1, 2, 3, 5)]
    first = card(0, *peers, Link(peer_uuid="GPU-gone", kind="same-cpu"))
    assert _links(first, sight(first, *map(card, range(1, 6)))) == "nvlink x18 to 1-3, 5; same-cpu to GPU-gone"


@pytest.mark.parametrize("machine", ["a40x2", "h100x8", "t4", "a100-mig"])
def test_a_table_fits_a_terminal_of_80_columns(machine: str, environ: dict[str, str]) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        command = [HAMI, "devices", "--simulate", machine]
        os.execve(HAMI, command, {**environ, "NO_COLOR": "1", "TERM": "dumb"})
    shown = b""
    try:
        while chunk := os.read(terminal, 65536):
            shown += chunk
    except OSError:
        pass  # how Linux says that the other end of a terminal is closed
    os.waitpid(pid, 0)
    os.close(terminal)
    lines = shown.decode().replace("\r", "").splitlines()
    assert lines[0].split()[:4] == ["VENDOR", "#", "UUID", "MODEL"]
    assert max(map(len, lines)) <= 80, shown


def test_plugins_are_listed_with_what_they_provide(hami: Hami) -> None:
    listed = {plugin["name"]: plugin for plugin in json.loads(hami("plugins", "-o", "json").out)["plugins"]}
    assert listed["nvidia"]["families"] == ["NVIDIA"]
    assert listed["nvidia"]["distribution"] == "hami-nvidia"
    assert listed["nvidia"]["problem"] is None
    assert "hami_allocate" in listed["nvidia"]["hooks"]
    assert "node/binpack" in listed["hami-policies"]["policies"]


def test_a_broken_plugin_is_named_with_its_fault_and_the_others_work(hami: Hami, tmp_path: Path) -> None:
    info = tmp_path / "site" / "hami_acme-2.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hami-acme\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text("[hami]\nacme = hami_acme_that_is_not_there\n")
    path = os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")])
    outcome = hami("plugins", PYTHONPATH=path)
    assert outcome.code == 0, outcome.err
    (line,) = (line for line in outcome.out.splitlines() if line.startswith("acme "))
    assert line.split(maxsplit=3)[1:3] == ["hami-acme", "2.0"]
    assert "broken: cannot be loaded: ModuleNotFoundError: No module named 'hami_acme_that_is_not_there'" in line
    assert "NVIDIA" in outcome.out
