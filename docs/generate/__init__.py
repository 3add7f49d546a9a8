"""Pages that are made from the code, so that they cannot be wrong for long. A test compares them with the files.

Write them with ``python -m docs.generate``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from docs.generate import (
    chart,
    commands,
    configuration,
    conformance,
    devices,
    environment,
    events,
    hooks,
    keys,
    metrics,
    reasons,
    stability,
)

DOCS = Path(__file__).parents[1]


def pages() -> Mapping[Path, str]:
    """Every generated page: its file and its text."""
    return {
        DOCS / "conformance.md": conformance.page(),
        DOCS / "devices.md": devices.page(),
        DOCS / "metrics.md": metrics.page(),
        DOCS / "plugins" / "stability.md": stability.page(),
        DOCS / "reasons.md": reasons.page(),
        DOCS / "reference" / "annotations.md": keys.page(),
        DOCS / "reference" / "chart.md": chart.page(),
        DOCS / "reference" / "commands.md": commands.page(),
        DOCS / "reference" / "configuration.md": configuration.page(),
        DOCS / "reference" / "environment.md": environment.page(),
        DOCS / "reference" / "events.md": events.page(),
        **{DOCS / "hooks" / name: text for name, text in hooks.pages().items()},
    }
