"""Every metric of `hami monitor`, from the specifications that the exporter fills."""

from __future__ import annotations

from collections.abc import Iterable

from hami_core.monitor.exporter import SPECS as OWN
from hami_core.monitor.hami_names import LEGACY_SPECS
from hami_core.monitor.hami_names import SPECS as HAMI
from hami_core.monitor.schema import SPECS
from hami_core.monitor.sheet import Spec

_HEAD = """# Metrics

What `hami monitor` exports; [monitoring.md](monitoring.md) says how to run it and what to make of it. A value that
nobody knows has no sample; it is never zero.

"""

_OWN_SCHEMA = """One schema for every vendor. Bytes, seconds, ratios from 0 to 1. A lease of `hami run` has the
namespace `local`, its id as the pod and its program as the container."""

_PARTS = (
    (
        "Devices, shares and isolation",
        _OWN_SCHEMA,
        SPECS,
    ),
    ("The monitor itself", "", OWN),
    ("HAMi's names", "As HAMi 2.9 and later have them, for dashboards that exist. Ratios are percent here.", HAMI),
    ("HAMi's older names", "Only with `--legacy-metrics`.", LEGACY_SPECS),
)


def page() -> str:
    """The page."""
    return _HEAD + "\n".join(_part(title, says, specs) for title, says, specs in _PARTS)


def _part(title: str, says: str, specs: Iterable[Spec]) -> str:
    intro = f"{says}\n\n" if says else ""
    rows = "".join(
        f"| `{spec.name}` | {'counter' if spec.counter else 'gauge'} | {spec.says} | {', '.join(spec.labels)} |\n"
        for spec in specs
    )
    return f"## {title}\n\n{intro}| Metric | Kind | Says | Labels |\n|---|---|---|---|\n{rows}"
