"""The Grafana dashboards, written from short descriptions: ``python -m dashboards.generate``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

HERE = Path(__file__).parent
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_COLUMNS = 24  # of Grafana's grid
_HEIGHT = 8
_BYTES, _RATIO, _SECONDS, _COUNT, _STATE = "bytes", "percentunit", "s", "short", "bool_on_off"


@attrs.frozen(kw_only=True)
class Panel:
    """A panel: its title, queries with their legends, and how it is drawn."""

    title: str
    queries: Mapping[str, str]  # expression: legend
    unit: str = _COUNT
    kind: str = "timeseries"
    width: int = 12
    says: str = ""


@attrs.frozen(kw_only=True)
class Dashboard:
    """A dashboard: a variable chooses by the label of its name, among the values that the metric has."""

    name: str
    title: str
    variables: Mapping[str, str]
    panels: tuple[Panel, ...]


_AT_NODE = 'node=~"$node"'
_AT_POD = 'namespace=~"$namespace", pod=~"$pod"'
_AT_DEVICE = 'node=~"$node", device_uuid=~"$device_uuid"'

_CARD = "{{node}} {{device_index}}"
_CONTAINER = "{{namespace}}/{{pod}} {{container}}"


def _rate(counter: str, where: str) -> str:
    return f"rate({counter}{{{where}}}[$__rate_interval])"


DASHBOARDS = (
    Dashboard(
        name="overview",
        title="HAMi / Overview",
        variables={"node": "hami_device_healthy"},
        panels=(
            Panel(title="Devices", kind="stat", width=4, queries={f"count(hami_device_healthy{{{_AT_NODE}}})": ""}),
            Panel(title="Unhealthy", kind="stat", width=4, queries={f"sum(1 - hami_device_healthy{{{_AT_NODE}}})": ""}),
            Panel(title="Shares", kind="stat", width=4, queries={f"sum(hami_device_shares{{{_AT_NODE}}})": ""}),
            Panel(
                title="Memory promised",
                kind="gauge",
                width=4,
                unit=_RATIO,
                queries={
                    f"sum(hami_device_memory_promised_bytes{{{_AT_NODE}}})"
                    f" / sum(hami_device_memory_total_bytes{{{_AT_NODE}}})": ""
                },
            ),
            Panel(
                title="Memory used",
                kind="gauge",
                width=4,
                unit=_RATIO,
                queries={
                    f"sum(hami_device_memory_used_bytes{{{_AT_NODE}}})"
                    f" / sum(hami_device_memory_total_bytes{{{_AT_NODE}}})": ""
                },
            ),
            Panel(
                title="Busy",
                kind="gauge",
                width=4,
                unit=_RATIO,
                queries={f"avg(hami_device_utilization_ratio{{{_AT_NODE}}})": ""},
            ),
            Panel(
                title="Utilisation by node",
                unit=_RATIO,
                queries={f"avg by (node) (hami_device_utilization_ratio{{{_AT_NODE}}})": "{{node}}"},
            ),
            Panel(
                title="Memory by node",
                unit=_BYTES,
                queries={
                    f"sum by (node) (hami_device_memory_used_bytes{{{_AT_NODE}}})": "{{node}} used",
                    f"sum by (node) (hami_device_memory_promised_bytes{{{_AT_NODE}}})": "{{node}} promised",
                },
            ),
            Panel(
                title="Refused allocations",
                queries={
                    f"sum by (namespace) ({_rate('hami_share_refused_allocations_total', _AT_NODE)})": "{{namespace}}"
                },
                says="Requests past a limit, a second. The program got an out-of-memory error for each.",
            ),
            Panel(
                title="Time spent waiting",
                unit=_SECONDS,
                queries={
                    f"sum by (namespace) ({_rate('hami_share_throttled_seconds_total', _AT_NODE)})": "{{namespace}}"
                },
                says="Seconds a second that launches waited for their share, summed over threads.",
            ),
        ),
    ),
    Dashboard(
        name="node",
        title="HAMi / Node",
        variables={"node": "hami_device_healthy"},
        panels=(
            Panel(
                title="Utilisation",
                unit=_RATIO,
                queries={f"hami_device_utilization_ratio{{{_AT_NODE}}}": _CARD},
            ),
            Panel(
                title="Memory used",
                unit=_BYTES,
                queries={f"hami_device_memory_used_bytes{{{_AT_NODE}}}": _CARD},
            ),
            Panel(
                title="Memory promised",
                unit=_RATIO,
                queries={
                    f"hami_device_memory_promised_bytes{{{_AT_NODE}}}"
                    f" / hami_device_memory_total_bytes{{{_AT_NODE}}}": _CARD
                },
            ),
            Panel(title="Shares", queries={f"hami_device_shares{{{_AT_NODE}}}": _CARD}),
            Panel(
                title="Memory outside shares",
                unit=_BYTES,
                queries={f"hami_device_memory_drift_bytes{{{_AT_NODE}}}": _CARD},
                says="What the driver counts beyond all shares' books.",
            ),
            Panel(
                title="The monitor itself",
                queries={
                    "hami_monitor_probe_up": "driver of {{vendor}} answers",
                    "rate(hami_monitor_limits_failed_total[$__rate_interval])": "limits files not written, 1/s",
                    "rate(hami_monitor_sources_failed_total[$__rate_interval])": "failed looks, 1/s",
                },
            ),
        ),
    ),
    Dashboard(
        name="pod",
        title="HAMi / Pod",
        variables={"namespace": "hami_isolation_active", "pod": "hami_isolation_active"},
        panels=(
            Panel(
                title="Memory",
                unit=_BYTES,
                queries={
                    f"hami_share_memory_used_bytes{{{_AT_POD}}}": "{{pod}}/{{container}} used",
                    f"hami_share_memory_limit_bytes{{{_AT_POD}}}": "{{pod}}/{{container}} limit",
                },
            ),
            Panel(
                title="Compute",
                unit=_RATIO,
                queries={
                    _rate("hami_share_busy_seconds_total", _AT_POD): "{{pod}}/{{container}} used",
                    f"hami_share_core_limit_ratio{{{_AT_POD}}}": "{{pod}}/{{container}} limit",
                },
            ),
            Panel(
                title="Memory by kind",
                unit=_BYTES,
                queries={f"sum by (class) (hami_share_memory_reserved_bytes{{{_AT_POD}}})": "{{class}}"},
            ),
            Panel(
                title="Waiting",
                unit=_SECONDS,
                queries={_rate("hami_share_throttled_seconds_total", _AT_POD): "{{pod}}/{{container}}"},
            ),
            Panel(
                title="Refused allocations",
                queries={f"increase(hami_share_refused_allocations_total{{{_AT_POD}}}[5m])": "{{pod}}/{{container}}"},
            ),
            Panel(
                title="Past the isolation library",
                unit=_BYTES,
                queries={f"hami_isolation_bypass_bytes{{{_AT_POD}}}": "{{namespace}}/{{pod}}"},
            ),
            Panel(
                title="Isolation, contention, yielding",
                unit=_STATE,
                queries={
                    f"hami_isolation_active{{{_AT_POD}}}": "{{pod}}/{{container}} isolated",
                    f"hami_isolation_degraded{{{_AT_POD}}}": "{{pod}}/{{container}} without NVML",
                    f"hami_share_contended{{{_AT_POD}}}": "{{pod}}/{{container}} contended",
                    f"hami_share_yielding{{{_AT_POD}}}": "{{pod}}/{{container}} yields",
                },
            ),
        ),
    ),
    Dashboard(
        name="device",
        title="HAMi / Device",
        variables={"node": "hami_device_healthy", "device_uuid": "hami_device_healthy"},
        panels=(
            Panel(
                title="Who uses the memory",
                unit=_BYTES,
                queries={f"hami_share_memory_used_bytes{{{_AT_DEVICE}}}": _CONTAINER},
            ),
            Panel(
                title="Who uses the compute time",
                unit=_RATIO,
                queries={_rate("hami_share_busy_seconds_total", _AT_DEVICE): _CONTAINER},
            ),
            Panel(
                title="Driver against books",
                unit=_BYTES,
                queries={
                    f"hami_device_memory_used_bytes{{{_AT_DEVICE}}}": "driver",
                    f"hami_device_memory_ledger_bytes{{{_AT_DEVICE}}}": "books",
                },
            ),
            Panel(
                title="Who waits",
                unit=_SECONDS,
                queries={_rate("hami_share_throttled_seconds_total", _AT_DEVICE): _CONTAINER},
            ),
        ),
    ),
)


def pages() -> Mapping[Path, str]:
    """Every dashboard's file and its text."""
    return {
        HERE / f"{dashboard.name}.json": json.dumps(_dashboard(dashboard), indent=2) + "\n" for dashboard in DASHBOARDS
    }


def _dashboard(dashboard: Dashboard) -> dict[str, Any]:
    source = {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
    chosen: list[str] = []
    variables = []
    for name, metric in dashboard.variables.items():
        within = f"{{{', '.join(chosen)}}}" if chosen else ""
        variables.append(_variable(name, f"label_values({metric}{within}, {name})"))
        chosen.append(f'{name}=~"${name}"')
    return {
        "uid": f"hami-{dashboard.name}",
        "title": dashboard.title,
        "tags": ["hami"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "links": [{"type": "dashboards", "tags": ["hami"], "title": "HAMi", "asDropdown": True, "keepTime": True}],
        "templating": {"list": [source, *variables]},
        "panels": list(_panels(dashboard.panels)),
    }


def _variable(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": name.replace("_", " ").capitalize(),
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _panels(panels: Iterable[Panel]) -> Iterator[dict[str, Any]]:
    column = row = 0
    for number, panel in enumerate(panels, start=1):
        if column + panel.width > _COLUMNS:
            column, row = 0, row + _HEIGHT
        yield {
            "id": number,
            "type": panel.kind,
            "title": panel.title,
            "description": panel.says,
            "datasource": _SOURCE,
            "gridPos": {"x": column, "y": row, "w": panel.width, "h": _HEIGHT},
            "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
            "targets": [
                {"refId": chr(ord("A") + place), "datasource": _SOURCE, "expr": expression, "legendFormat": legend}
                for place, (expression, legend) in enumerate(panel.queries.items())
            ],
        }
        column += panel.width


def main() -> None:
    """Write the files."""
    for file, text in pages().items():
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
