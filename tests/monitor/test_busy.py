"""Every panel of the dashboards shows something of a busy machine: real programs, the monitor, a real Prometheus."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.monitor.running import HOLD, said
from tests.monitor.scraping import PROMETHEUS, ask, prometheus_of
from tests.monitor.test_dashboards import EXPRESSIONS, PAGES

from hami_core.isolation.limits import DeviceLimits, LimitsFile
from hami_core.local.machine import simulated
from hami_core.machine_file import read_machine
from hami_core.packaged import packaged
from hami_core.registry import load_registry

pytestmark = pytest.mark.skipif(PROMETHEUS is None, reason="install prometheus to have it scrape the exporter")
HAMI = str(Path(sys.executable).with_name("hami"))
SPIN = (sys.executable, str(Path(__file__).parents[2] / "examples" / "nvidia" / "spin.py"), "5")
MACHINE = "a40x2"
PANELS = {place: text for place, text in EXPRESSIONS.items() if not place.startswith("alert ")}


@contextmanager
def program(words: list[str], environ: dict[str, str], says: str) -> Iterator[str]:
    """The first line of a program, which must have `says` in it; afterwards it is told to end."""
    pipe = subprocess.PIPE
    started = subprocess.Popen(words, env=environ, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True)
    try:
        line = said(started)
        assert says in line, line + str(started.communicate()[0])
        yield line
    finally:
        started.send_signal(signal.SIGTERM)
        started.communicate()


def container_of(hook_path: Path) -> Path:
    """A pod's container on the first card, as the node agent makes it; its limits file."""
    card = read_machine(load_registry().machine_files[MACHINE]).report().devices[0].uuid
    folder = hook_path / "containers" / "uid-1_main" / "NVIDIA"
    folder.mkdir(parents=True)
    device = DeviceLimits(uuid=card, memory_mib=3000, core_percent=50)
    LimitsFile(devices=(device,), region=folder / "region").write(folder / "limits")
    record = {"namespace": "team", "pod": "train", "uid": "uid-1", "library": "/lib/1"}
    (folder / "record").write_text(json.dumps(record))
    return folder / "limits"


@pytest.fixture
def busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A Prometheus that watches a machine with two busy leases and a pod."""
    monkeypatch.setenv("HAMI_STATE_DIR", str(tmp_path / "state"))
    environ = dict(os.environ)
    with ExitStack() as stack:
        for priority in ("0", "1"):
            lease = [HAMI, "run", "--simulate", MACHINE, "--memory", "4000", "--cores", "30", "--priority", priority]
            stack.enter_context(program([*lease, "--", *SPIN], environ, "spins"))
        registry = load_registry()
        simulation = simulated(MACHINE, registry).simulation(registry)
        library = str(packaged("hami_nvidia", "lib/libhami_nvidia.so"))
        inside = {"LD_PRELOAD": library, "HAMI_LIMITS_FILE": str(container_of(tmp_path / "hook"))}
        stack.enter_context(program([*HOLD, "1000"], {**environ, **simulation, **inside}, "holds"))
        watch = [HAMI, "monitor", "--simulate", MACHINE, "--hook-path", str(tmp_path / "hook"), "--node-name", "node-a"]
        line = stack.enter_context(
            program([*watch, "--metrics-bind-address", "127.0.0.1:0"], environ, "metrics on http")
        )
        yield stack.enter_context(prometheus_of(line.split()[-1], tmp_path))


def test_every_panel_and_every_variable_shows_something(busy: str) -> None:
    (target,) = ask(busy, "targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    empty = [
        place
        for place, expression in PANELS.items()
        # What Grafana puts in the place of a variable whose value is "All".
        if not ask(busy, "query", query=re.sub(r'"\$\w+"', '".*"', expression))["result"]
    ]
    assert empty == []
    for text in PAGES.values():
        for variable in json.loads(text)["templating"]["list"][1:]:
            metric, label = re.fullmatch(r"label_values\((\w+).*, (\w+)\)", variable["definition"]).groups()
            assert ask(busy, f"label/{label}/values", **{"match[]": metric})
