"""Metrics as a table: what is declared once is exported, documented and checked against dashboards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric


@attrs.frozen(kw_only=True)
class Spec:
    """A metric: its name, what it says, and its labels in order."""

    name: str
    says: str
    labels: tuple[str, ...] = ()
    counter: bool = False


class Sheet:
    """The samples of one scrape."""

    def __init__(self, specs: tuple[Spec, ...]) -> None:
        self._specs = {spec.name: spec for spec in specs}
        self._families = {spec.name: _family(spec) for spec in specs}

    def add(self, name: str, value: float | None, labels: Mapping[str, str] = {}) -> None:
        """Add a sample. A value that nobody knows is left out, never zero."""
        if value is not None:
            self._families[name].add_metric([labels[label] for label in self._specs[name].labels], float(value))

    def families(self) -> Iterator[Metric]:
        """Every metric, in the order of their declaration, also those without a sample."""
        yield from self._families.values()


def _family(spec: Spec) -> CounterMetricFamily | GaugeMetricFamily:
    kind = CounterMetricFamily if spec.counter else GaugeMetricFamily
    return kind(spec.name, spec.says, labels=spec.labels)
