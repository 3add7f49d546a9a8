"""A real Prometheus scrapes the real exporter, where one is installed (Debian: ``apt-get install prometheus``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.monitor.scraping import PROMETHEUS, ask, prometheus_of
from tests.monitor.test_dashboards import EXPRESSIONS
from tests.monitor.world import GPU, MIB, Charged, container, sight, write_region

from hami_core.kube.settings import Listen
from hami_core.monitor.containers import ContainerFolders, PodName
from hami_core.monitor.devices import DeviceWatch
from hami_core.monitor.exporter import Exporter
from hami_core.monitor.feedback import Feedback
from hami_core.monitor.monitor import Monitor
from hami_core.monitor.serving import serve

pytestmark = pytest.mark.skipif(PROMETHEUS is None, reason="install prometheus to have it scrape the exporter")


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[str]:
    """The address of a Prometheus that has scraped a node with one share twice, and evaluated the rules."""
    folder = container(tmp_path)
    write_region(folder / "region", Charged(management=1, classes={"buffer": 990 * MIB}), busy_ns=10**9, launched_ns=1)
    devices = DeviceWatch([lambda: sight(used_mib=990)])
    devices.look()
    source = ContainerFolders(tmp_path, node="node-a", names=lambda _uid: PodName(namespace="team", name="train"))
    monitor = Monitor([source], devices, feedback=Feedback())
    monitor.tick()
    exporter = Exporter(monitor, legacy=True)
    with serve(exporter.registry(), Listen(host="127.0.0.1", port=0)) as url, prometheus_of(url, tmp_path) as base:
        yield base


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
