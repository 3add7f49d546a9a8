"""A real Prometheus scrapes the real exporter, where one is installed (Debian: ``apt-get install prometheus``)."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dashboards.generate import HERE
from tests.monitor.test_dashboards import EXPRESSIONS
from tests.monitor.world import GPU, MIB, Charged, container, sight, write_region

from hami_core.kube.settings import Listen
from hami_core.monitor.containers import ContainerFolders, PodName
from hami_core.monitor.devices import DeviceWatch
from hami_core.monitor.exporter import Exporter
from hami_core.monitor.feedback import Feedback
from hami_core.monitor.monitor import Monitor
from hami_core.monitor.serving import serve

PROMETHEUS = shutil.which("prometheus")

pytestmark = pytest.mark.skipif(PROMETHEUS is None, reason="install prometheus to have it scrape the exporter")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def ask(base: str, path: str, **query: str) -> Any:
    with urllib.request.urlopen(f"{base}/api/v1/{path}?{urllib.parse.urlencode(query)}") as answer:
        document = json.load(answer)
    assert document["status"] == "success", document
    return document["data"]


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[str]:
    """The address of a Prometheus that has scraped a node with one share twice, and evaluated the rules."""
    folder = container(tmp_path)
    write_region(folder / "region", Charged(classes={"buffer": 990 * MIB}), busy_ns=10**9, launched_ns=1)
    devices = DeviceWatch([lambda: sight(used_mib=990)])
    devices.look()
    source = ContainerFolders(tmp_path, node="node-a", names=lambda _uid: PodName(namespace="team", name="train"))
    monitor = Monitor([source], devices, feedback=Feedback())
    monitor.tick()
    exporter = Exporter(monitor, legacy=True)
    base = f"http://127.0.0.1:{free_port()}"
    with serve(exporter.registry(), Listen(host="127.0.0.1", port=0)) as url:
        target = urllib.parse.urlsplit(url).netloc
        settings = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(HERE / "alerts.yaml")],
            "scrape_configs": [{"job_name": "hami", "static_configs": [{"targets": [target]}]}],
        }
        (tmp_path / "prometheus.yml").write_text(json.dumps(settings))
        assert PROMETHEUS is not None
        words = [
            PROMETHEUS, f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address={urllib.parse.urlsplit(base).netloc}",
        ]  # fmt: skip
        with (tmp_path / "log").open("wb") as log, subprocess.Popen(words, stdout=log, stderr=log) as process:
            try:
                wait_for_scrapes(base, process, tmp_path / "log")
                yield base
            finally:
                process.terminate()


def wait_for_scrapes(base: str, process: subprocess.Popen[bytes], log: Path) -> None:
    while True:
        assert process.poll() is None, log.read_text()
        try:
            scrapes = ask(base, "query", query="count_over_time(up[1m])")["result"]
            groups = ask(base, "rules")["groups"]
        except urllib.error.URLError:
            scrapes, groups = [], []
        evaluated = groups and all(rule["health"] != "unknown" for group in groups for rule in group["rules"])
        if evaluated and scrapes and float(scrapes[0]["value"][1]) >= 3:
            return
        time.sleep(0.2)


def test_prometheus_reads_every_metric_and_every_expression_of_the_dashboards(prometheus: str) -> None:
    (target,) = ask(prometheus, "targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    for place, expression in EXPRESSIONS.items():
        concrete = expression.replace('"$namespace"', '"team"').replace('"$pod"', '"train"')
        concrete = concrete.replace('"$node"', '"node-a"').replace('"$device_uuid"', f'"{GPU}"')
        found = ask(prometheus, "query", query=concrete)["result"]
        assert found or place.startswith("alert "), f"{place} shows nothing: {concrete}"


def test_prometheus_evaluates_every_alert_and_the_one_that_holds_is_pending(prometheus: str) -> None:
    rules = [rule for group in ask(prometheus, "rules")["groups"] for rule in group["rules"]]
    assert {rule["health"] for rule in rules} == {"ok"}
    raised = {rule["name"] for rule in rules if rule["state"] != "inactive"}
    assert raised == {"HamiMemoryLimitNear"}
