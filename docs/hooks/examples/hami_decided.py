"""Decisions written to a log."""

from __future__ import annotations

import logging

from hami_core import hookimpl

_LOG = logging.getLogger("hami.decisions")


@hookimpl
def hami_decided(pod: str, node: str | None, reason: str) -> None:
    """One line a decision."""
    _LOG.info("%s: %s", pod, node or reason)
