"""Shipped helpers for tests, of this project and of plugins. Needs the extra ``hami-core[testing]``.

`PluginConformance` is the kit that every plugin is held to; `strategies` builds worlds for Hypothesis; `machine` reads
machine files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hami_core.testing.conformance.suite import PluginConformance as PluginConformance

__all__ = ["PluginConformance"]


def __getattr__(name: str) -> Any:
    # `hami conformance` works without pytest, which only the class needs.
    if name == "PluginConformance":
        from hami_core.testing.conformance.suite import PluginConformance  # noqa: PLC0415

        return PluginConformance
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
