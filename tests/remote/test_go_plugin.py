"""The example agent in Go: built from its committed code, found by `hami`, held to the rules, watched."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hami_core.behaviour import DeviceEvent
from hami_core.node.watching import watch
from hami_core.registry import load_registry

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "examples" / "plugins" / "remote-go"
HAMI = Path(sys.executable).with_name("hami")
SECONDS = 60  # that the agent may take to listen, however busy the machine is

pytestmark = pytest.mark.skipif(shutil.which("go") is None, reason="go is not installed: the agent cannot be built")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("go") / "hami-borealis"
    command = ["go", "build", "-buildvcs=false", "-o", str(built), "."]
    done = subprocess.run(command, cwd=MODULE, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr
    return built


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A root with the files of a driver and two cards."""
    folder = tmp_path / "root/sys/class/borealis"
    for index in (0, 1):
        card = folder / f"card{index}"
        card.mkdir(parents=True)
        for name, value in {"uuid": f"b-{index}", "memory_mib": "32768", "health": "ok"}.items():
            (card / name).write_text(f"{value}\n", encoding="utf-8")
    (folder / "version").write_text("9.1\n", encoding="utf-8")
    return tmp_path / "root"


@contextlib.contextmanager
def agent(program: Path, environ: dict[str, str], host: Path) -> Iterator[Path]:
    socket = Path(environ["HAMI_PLUGIN_SOCKETS"], "borealis.sock")
    command = [str(program), "-socket", str(socket), "-root", str(host)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        try:
            ends_at = time.monotonic() + SECONDS
            while not socket.exists() and running.poll() is None and time.monotonic() < ends_at:
                time.sleep(0.01)
            assert running.poll() is None, running.communicate()[1]
            yield socket
        finally:
            running.terminate()
            running.communicate(timeout=SECONDS)
    assert running.returncode == 0


def hami(*arguments: str) -> str:
    done = subprocess.run([str(HAMI), *arguments], capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def test_the_agents_code_is_formatted_and_vetted() -> None:
    vetted = subprocess.run(
        ["go", "vet", "./..."], cwd=MODULE, capture_output=True, text=True, check=False, timeout=280
    )
    assert vetted.returncode == 0, vetted.stderr
    unformatted = subprocess.run(["gofmt", "-l", "."], cwd=MODULE, capture_output=True, text=True, check=True)
    assert unformatted.stdout == ""


def test_the_agent_is_listed_and_its_cards_are(program: Path, environ: dict[str, str], host: Path) -> None:
    with agent(program, environ, host):
        listed = {plugin["name"]: plugin for plugin in json.loads(hami("plugins", "-o", "json"))["plugins"]}
        cards = [line.split()[:4] for line in hami("devices", "--vendor", "borealis").splitlines()]
    assert listed["borealis"]["families"] == ["BOREALIS"]
    assert (listed["borealis"]["version"], listed["borealis"]["state"]) == ("1.2.0", "answers")
    assert cards[1:] == [["borealis", "0", "b-0", "Borealis"], ["borealis", "1", "b-1", "Borealis"]]


def test_the_agent_keeps_the_rules(program: Path, environ: dict[str, str], host: Path) -> None:
    with agent(program, environ, host) as socket:
        report = hami("conformance", "--remote", str(socket), "--docs", str(MODULE / "README.md"))
    assert " 0 broken, " in report.splitlines()[-1]


def test_the_example_pod_is_placed_from_the_table_alone(program: Path, environ: dict[str, str], host: Path) -> None:
    with agent(program, environ, host):
        table = hami("plugins", "--table", "borealis")
        node = hami("devices", "--vendor", "borealis", "-o", "node")
    Path(environ["HAMI_PLUGIN_TABLES"], "borealis.json").write_text(table, encoding="utf-8")
    cluster = host / "node.json"
    cluster.write_text(node, encoding="utf-8")
    said = json.loads(
        hami("schedule", "--cluster", str(cluster), "-f", str(MODULE / "examples" / "share.yaml"), "-o", "json")
    )
    assert "b-" in json.dumps(said), said


def test_a_card_that_falls_ill_is_told_of(
    program: Path, environ: dict[str, str], host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAMI_PLUGINS", "borealis")

    async def first() -> DeviceEvent:
        seen: asyncio.Queue[DeviceEvent] = asyncio.Queue()
        watching = asyncio.create_task(watch(load_registry(), "borealis", seen.put_nowait, environ=dict(os.environ)))
        try:
            return await seen.get()
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching

    (host / "sys/class/borealis/card1/health").write_text("ECC\n", encoding="utf-8")
    with agent(program, environ, host):
        assert asyncio.run(first()) == DeviceEvent(uuid="b-1", note="ECC")
