"""Every metric of `hami monitor` and `hami scheduler`, from the specifications that they fill."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from hami_core.kube.cluster_metrics import HELP, LEGACY, TODAY, Names
from hami_core.kube.metrics import BUILD, COUNTERS, DECISION, GAUGES
from hami_core.monitor.exporter import SPECS as OWN
from hami_core.monitor.hami_names import LEGACY_SPECS
from hami_core.monitor.hami_names import SPECS as HAMI
from hami_core.monitor.schema import SPECS
from hami_core.monitor.sheet import Spec

_HEAD = """# Metrics

What `hami monitor` exports on each node, and at the end what `hami scheduler` exports for the cluster;
[monitoring.md](monitoring.md) says how to run it and what to make of it. A value that nobody knows has no sample; it is
never zero.

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
    parts = (*_PARTS, *_scheduler())
    return _HEAD + "\n".join(_part(title, says, specs) for title, says, specs in parts)


def _scheduler() -> Iterator[tuple[str, str, Iterable[Spec]]]:
    name, says = DECISION
    yield (
        "The scheduler itself",
        f"`{name}` is a histogram.",
        (
            Spec(name=name, says=says, labels=("verb",)),
            *(Spec(name=name, says=says) for name, says in (BUILD, *GAUGES.items())),
            *(Spec(name=f"{name}_total", says=says, counter=True) for name, says in COUNTERS.items()),
        ),
    )
    yield "The cluster, by the scheduler", "HAMi's names: what is promised, beside what is used above.", _cluster(TODAY)
    yield "The cluster, older names", "Only with `hami scheduler --legacy-metrics`.", _cluster(LEGACY)


def _cluster(names: Names) -> Iterator[Spec]:
    for key, name in names.metrics.items():
        yield Spec(name=name, says=HELP[key], labels=tuple(re.findall(r"(\w+)=", names.labels(key))))


def _part(title: str, says: str, specs: Iterable[Spec]) -> str:
    intro = f"{says}\n\n" if says else ""
    rows = "".join(
        f"| `{spec.name}` | {'counter' if spec.counter else 'gauge'} | {spec.says} | {', '.join(spec.labels)} |\n"
        for spec in specs
    )
    return f"## {title}\n\n{intro}| Metric | Kind | Says | Labels |\n|---|---|---|---|\n{rows}"
