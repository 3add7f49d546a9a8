"""What service accounts asked of the API server, from its own audit log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import attrs
from tests.cluster.api import Object

POLICY: Object = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    # A watch is complete when it ends: that it began tells enough.
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "userGroups": ["system:serviceaccounts"]}, {"level": "None"}],
}


@attrs.frozen(kw_only=True)
class Right:
    """One verb on one resource, sub-resources as ``pods/binding``."""

    group: str
    resource: str
    verb: str


@attrs.frozen(kw_only=True)
class Call:
    """One request; whether it was let through."""

    right: Right
    agent: str
    allowed: bool


class AuditLog:
    """The file that the API server writes; `mark` and `since` leave out what went before a test."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def mark(self) -> int:
        """The end of the log as it is now."""
        return self.file.stat().st_size if self.file.exists() else 0

    def calls(self, user: str, *, since: int = 0) -> Iterator[Call]:
        """Requests of a user for resources, oldest first."""
        with self.file.open("rb") as log:
            log.seek(since)
            for line in log:
                if not line.endswith(b"\n"):
                    return  # is being written
                event = json.loads(line)
                target = event.get("objectRef")
                if event["user"].get("username") == user and target is not None:
                    yield Call(
                        right=Right(
                            group=target.get("apiGroup", ""),
                            resource="/".join(filter(None, (target["resource"], target.get("subresource")))),
                            verb=event["verb"],
                        ),
                        agent=event.get("userAgent", ""),
                        # The status alone would not tell: 403 is also the answer in a namespace that is being deleted.
                        allowed=event.get("annotations", {}).get("authorization.k8s.io/decision") != "forbid",
                    )
