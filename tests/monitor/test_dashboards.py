"""Dashboards and alerts ask only for metrics and labels that the exporter has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import promql_parser
import pytest
import yaml
from dashboards.generate import HERE, pages

from hami_core.monitor.exporter import all_specs, specs_of_hami
from hami_core.monitor.schema import SPECS

LABELS = {spec.name: {*spec.labels, "instance", "job"} for spec in all_specs()}
RULES = [rule for group in yaml.safe_load((HERE / "alerts.yaml").read_text())["groups"] for rule in group["rules"]]
PAGES = pages()


def expressions() -> dict[str, str]:
    """Every expression by where it stands."""
    found = {f"alert {rule['alert']}": rule["expr"] for rule in RULES}
    for file, text in PAGES.items():
        for panel in json.loads(text)["panels"]:
            for target in panel["targets"]:
                place = f"{file.name} {panel['title']} {target['refId']}"
                found[place] = target["expr"].replace("$__rate_interval", "5m")
    return found


EXPRESSIONS = expressions()


def selectors(expression: str) -> list[promql_parser.VectorSelector]:
    """The places where an expression reads series."""
    found: list[promql_parser.VectorSelector] = []

    def visit(node: object) -> bool:
        if isinstance(node, promql_parser.MatrixSelector):
            node = node.vector_selector
        if isinstance(node, promql_parser.VectorSelector) and node not in found:
            found.append(node)
        return True

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found


@pytest.mark.parametrize("place", EXPRESSIONS)
def test_an_expression_reads_metrics_and_labels_that_exist(place: str) -> None:
    read = selectors(EXPRESSIONS[place])
    assert read
    for selector in read:
        assert selector.name in LABELS
        assert {matcher.name for matcher in selector.matchers.matchers} <= LABELS[selector.name]
    grouped = {
        name.strip() for by in re.findall(r"\b(?:by|on) \(([^)]*)\)", EXPRESSIONS[place]) for name in by.split(",")
    }
    assert all(grouped <= LABELS[selector.name] for selector in read)


@pytest.mark.parametrize("place", EXPRESSIONS)
def test_counters_are_read_as_rates_and_gauges_are_not(place: str) -> None:
    for name in re.findall(r"\bhami_\w+", EXPRESSIONS[place]):
        rated = re.search(rf"\b(rate|increase)\({name}\b", EXPRESSIONS[place]) is not None
        assert rated == name.endswith("_total")


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_a_dashboard_is_as_its_description_is(file: Path) -> None:
    assert file.read_text(encoding="utf-8") == PAGES[file], f"{file.name} is old; run: python -m dashboards.generate"


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_a_dashboard_uses_its_variables_and_shows_labels_that_its_metrics_have(file: Path) -> None:
    dashboard = json.loads(PAGES[file])
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    for variable in dashboard["templating"]["list"][1:]:
        metric, label = re.fullmatch(r"label_values\((\w+).*, (\w+)\)", variable["definition"]).groups()
        assert label in LABELS[metric]
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            used = set(re.findall(r'"\$(\w+)"', target["expr"]))
            assert used <= variables
            shown = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            names = re.findall(r"\bhami_\w+", target["expr"])
            assert shown <= set.intersection(*(LABELS[name] for name in names))


def test_no_two_panels_overlap() -> None:
    for text in PAGES.values():
        taken: set[tuple[int, int]] = set()
        for panel in json.loads(text)["panels"]:
            at = panel["gridPos"]
            cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
            assert not cells & taken
            assert at["x"] + at["w"] <= 24
            taken |= cells


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_and_what_to_do_and_names_labels_that_it_has(rule: dict[str, object]) -> None:
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}
    said = "".join(rule["annotations"].values())
    named = set(re.findall(r"\$labels\.(\w+)", said))
    for selector in selectors(rule["expr"]):
        assert named <= LABELS[selector.name]


def test_every_metric_of_the_own_schema_is_somewhere_to_be_seen() -> None:
    asked = set(re.findall(r"\bhami_\w+", " ".join(EXPRESSIONS.values())))
    detail = {
        "hami_share_memory_driver_bytes", "hami_share_memory_drift_bytes", "hami_share_idle_seconds",
        "hami_share_utilization_ratio", "hami_isolation_heartbeat_age_seconds", "hami_isolation_processes",
        "hami_isolation_reaped_total",
    }  # fmt: skip
    assert {spec.name for spec in SPECS} - asked == detail
    assert not asked & {spec.name for spec in specs_of_hami(legacy=True)}, "HAMi's names are for its own dashboards"


def test_prometheus_takes_the_rules() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("install prometheus to have its own tool look at the rules")
    done = subprocess.run(
        [promtool, "check", "rules", HERE / "alerts.yaml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
