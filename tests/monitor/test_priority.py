"""`hami run --priority` with `hami monitor` beside it, on the simulated driver: real processes, real files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

HAMI = str(Path(sys.executable).with_name("hami"))
SPIN = (sys.executable, str(Path(__file__).parents[2] / "examples" / "nvidia" / "spin.py"), "5")
MACHINE = ("--simulate", "t4")
CORES = ("--cores", "30")


@attrs.frozen
class Host:
    """A simulated machine with one card."""

    environ: dict[str, str]

    def spin(self, priority: int, *cores: str) -> subprocess.Popen[str]:
        """A command that keeps the card busy; it runs when this returns."""
        words = [HAMI, "run", *MACHINE, "--memory", "4000", *cores, "--priority", str(priority), "--", *SPIN]
        started = subprocess.Popen(
            words, env=self.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert started.stdout is not None
        assert started.stderr is not None
        line = started.stdout.readline()
        assert line == "spins\n", started.stderr.read()
        return started

    def shares(self) -> dict[int, dict[str, Any]]:
        """What `hami top` shows, by priority."""
        done = subprocess.run(
            [HAMI, "top", *MACHINE, "--once", "-o", "json"], env=self.environ, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return {share["priority"]: share for share in json.loads(done.stdout)["shares"]}

    def until(self, holds: Callable[[dict[int, dict[str, Any]]], bool]) -> dict[int, dict[str, Any]]:
        """Look until it holds; the test's timeout is the only clock."""
        while not holds(found := self.shares()):
            time.sleep(0.1)
        return found


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host({**os.environ, "HAMI_STATE_DIR": str(tmp_path / "state"), "COLUMNS": "160"})


@pytest.fixture
def metrics(host: Host) -> Iterator[str]:
    """The URL of a monitor of this machine."""
    words = [HAMI, "monitor", *MACHINE, "--metrics-bind-address", "127.0.0.1:0", "--period", "0.1"]
    with subprocess.Popen(words, env=host.environ, stdout=subprocess.PIPE, text=True) as monitor:
        assert monitor.stdout is not None
        line = monitor.stdout.readline()
        assert "metrics on http://127.0.0.1:" in line
        yield line.split()[-1]
        monitor.send_signal(signal.SIGTERM)
        assert monitor.wait(60) == 128 + signal.SIGTERM


def end(process: subprocess.Popen[str]) -> int:
    """Let a command stop; how many kernels it launched."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return int(out.split()[-1])


@pytest.mark.parametrize("cores", [CORES, ()], ids=["limited", "unlimited"])
def test_high_priority_works_unheld_while_low_priority_waits_and_works_on_afterwards(
    host: Host, metrics: str, cores: tuple[str, ...]
) -> None:
    low = host.spin(1, *cores)
    alone = host.until(lambda shares: shares[1]["contended"] is False)
    assert not alone[1]["yields"]
    high = host.spin(0, *cores)
    both = host.until(lambda shares: 0 in shares and shares[1]["yields"] and shares[0]["contended"] is False)
    assert both[1]["contended"] is True
    assert not both[0]["yields"]
    before = host.shares()
    after = host.until(lambda shares: shares[0]["busy_s"] - before[0]["busy_s"] >= 1)
    assert after[1]["busy_s"] - before[1]["busy_s"] < (after[0]["busy_s"] - before[0]["busy_s"]) / 4
    with urllib.request.urlopen(metrics) as answer:
        text = answer.read().decode()
    assert 'hami_share_yielding{container="' in text
    end(high)
    free = host.until(lambda shares: shares[1]["contended"] is False and not shares[1]["yields"])
    assert 0 not in free
    end(low)
    with urllib.request.urlopen(metrics) as answer:
        assert "hami_share_yielding{" not in answer.read().decode()


def test_two_of_high_priority_are_both_held(host: Host, metrics: str) -> None:
    first, second = host.spin(0, *CORES), host.spin(0, *CORES)
    found = host.until(lambda shares: bool(shares[0]["contended"]))
    assert not found[0]["yields"]
    end(first)
    end(second)


def test_without_a_monitor_the_limits_file_says_nothing_of_others(host: Host) -> None:
    low = host.spin(1, *CORES)
    assert host.shares()[1]["contended"] is None
    end(low)
