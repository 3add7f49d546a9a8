"""`hami top` and the monitor on every vendor's simulated machine: one lease that holds memory, and who knows of it."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hami_core.units import MIB

from .vendors import CLIENT, TIMEOUT_S, Host

HAMI = (sys.executable, "-c", "import sys; from hami_core.cli import main; main()")
SHARE_MIB, HELD_MIB = 3000, 1024


@pytest.fixture(autouse=True)
def _books(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HAMI_STATE_DIR", str(tmp_path / "books"))


@contextmanager
def running(*words: str) -> Iterator[str]:
    """The first line that a command prints; it ends with the block."""
    pipe = subprocess.PIPE
    with subprocess.Popen([*HAMI, *words], stdin=pipe, stdout=pipe, stderr=pipe, text=True) as started:
        assert started.stdout is not None
        try:
            line = started.stdout.readline()
            assert line, started.communicate()
            yield line
        finally:
            started.terminate()
            started.communicate(timeout=TIMEOUT_S)


@contextmanager
def holding(host: Host) -> Iterator[None]:
    """A lease whose program holds memory."""
    client = (sys.executable, str(CLIENT), host.vendor.name, "hold", str(HELD_MIB))
    words = ("run", "--simulate", host.vendor.machine, "--memory", str(SHARE_MIB), "--", *client)
    with running(*words) as line:
        assert json.loads(line) == {"code": 0}
        yield


def top(host: Host) -> dict[str, Any]:
    words = [*HAMI, "top", "--simulate", host.vendor.machine, "--once", "-o", "json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    assert done.returncode == 0, done.stderr
    shown: dict[str, Any] = json.loads(done.stdout)
    return shown


def test_top_shows_what_the_share_and_the_driver_count(host: Host) -> None:
    with holding(host):
        shown = top(host)
    (share,) = shown["shares"]
    assert (share["memory_limit_mib"], share["isolated"], share["problems"]) == (SHARE_MIB, True, [])
    assert HELD_MIB * MIB <= share["memory_used_bytes"] <= SHARE_MIB * MIB
    (card,) = [each for each in shown["devices"] if each["uuid"] == share["device_uuid"]]
    assert (card["vendor"], card["healthy"]) == (host.vendor.name, True)
    assert card["memory_used_mib"] >= HELD_MIB
    assert shown["failed"] == {}


def test_the_monitor_exports_one_schema_and_finds_no_drift(host: Host) -> None:
    with (
        holding(host),
        running("monitor", "--simulate", host.vendor.machine, "--metrics-bind-address", "127.0.0.1:0") as line,
    ):
        used: dict[str, float] = {}
        # The first look at the driver may not have ended; the test's timeout is the only clock.
        while not any(name == "hami_device_memory_drift_bytes" for name in used):
            with urllib.request.urlopen(line.split()[-1]) as answer:
                text = answer.read().decode()
            families = text_string_to_metric_families(text)
            samples = [sample for family in families for sample in family.samples]
            (uuid,) = {each.labels["device_uuid"] for each in samples if each.name == "hami_share_memory_used_bytes"}
            mine = [each for each in samples if each.labels.get("device_uuid") == uuid]
            used = {each.name: each.value for each in mine if "class" not in each.labels}
    assert used["hami_share_memory_limit_bytes"] == SHARE_MIB * MIB
    assert used["hami_share_memory_used_bytes"] == used["hami_device_memory_ledger_bytes"] >= HELD_MIB * MIB
    assert used["hami_device_memory_used_bytes"] >= HELD_MIB * MIB
    assert used["hami_device_healthy"] == 1
    assert 0 <= used["hami_device_memory_drift_bytes"] < HELD_MIB * MIB
    assert ("hami_share_memory_driver_bytes" in used) == host.vendor.processes
