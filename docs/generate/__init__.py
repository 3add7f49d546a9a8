"""Pages that are made from the code, so that they cannot be wrong for long. A test compares them with the files.

Write them with ``python -m docs.generate``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from docs.generate import conformance, devices, hooks, metrics, reasons

DOCS = Path(__file__).parents[1]


def pages() -> Mapping[Path, str]:
    """Every generated page: its file and its text."""
    return {
        DOCS / "conformance.md": conformance.page(),
        DOCS / "devices.md": devices.page(),
        DOCS / "metrics.md": metrics.page(),
        DOCS / "reasons.md": reasons.page(),
        **{DOCS / "hooks" / name: text for name, text in hooks.pages().items()},
    }
