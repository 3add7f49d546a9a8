"""Log lines: JSON for programs, or one readable line for people."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime

import msgspec


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= getattr(record, "facts", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


class _Console(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S.%f")[:-3]
        facts = "".join(f" {name}={value}" for name, value in getattr(record, "facts", {}).items() if value is not None)
        trace = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        # A name or a message from the cluster must not be able to begin a line of its own.
        text = record.getMessage().replace("\n", "\\n")
        return f"{when} {record.levelname.lower():7} {text}{facts}{trace}"


def set_up(form: str, level: str) -> None:
    """Send everything to stderr in this form, ``json`` or ``console``."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Console())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
