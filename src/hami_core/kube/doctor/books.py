"""What `hami scheduler` says of itself: its books, its configuration, its certificate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hami_core.kube.doctor.webhook import SOON

if TYPE_CHECKING:
    from hami_core.kube.doctor.finding import Check, Finding
    from hami_core.kube.doctor.look import Look

_LOG = "its log names them"
# Metric, what more than 0 of it means, what to do.
_COUNTS = (
    ("hami_scheduler_drift", "pods were booked wrongly and put right", f"report it as a fault; {_LOG}"),
    ("hami_scheduler_strays", "shares are of cards that no node registers", "hami explain pod, or wait for their node"),
    ("hami_scheduler_unreadable_objects", "objects have annotations that cannot be read", _LOG),
    ("hami_scheduler_config_reloads_failed", "changed device configurations could not be used", f"mend it; {_LOG}"),
    ("hami_scheduler_stale_allocations", "allocations were given back whose pods were never bound", ""),
    ("hami_scheduler_locks_cleared", "orphan node locks were freed", ""),
)


async def check(look: Look, check: Check) -> Sequence[Finding]:
    """Read the metrics of every replica."""
    replicas = await look.metrics()
    found = [finding for name, told in replicas for finding in _replica(look, check, name, told)]
    if replicas and not any(told.get("hami_scheduler_leader") for _, told in replicas):
        found.append(
            check.problem("hami scheduler", "no replica leads: filter and bind are refused", "see the replicas' logs")
        )
    if replicas and not found:
        found.append(check.ok("hami scheduler", "its books are right"))
    return found


def _replica(look: Look, check: Check, name: str, told: Mapping[str, float]) -> Iterator[Finding]:
    if not told.get("hami_scheduler_synced"):
        yield check.problem(name, "has not read the cluster yet", "if that lasts: its log says why")
    for metric, text, do in _COUNTS:
        count = told.get(metric, 0)
        if count:
            finding = check.problem if do else check.note
            yield finding(name, f"{count:g} {text} ({metric})", do)
    ends_s = told.get("hami_scheduler_certificate_expiry_seconds")
    if ends_s is not None:
        ends = datetime.fromtimestamp(ends_s, UTC)
        if ends <= look.now + SOON:
            do = "renew it: helm upgrade with --set scheduler.certificate.rotate=true, or look at cert-manager"
            yield check.problem(name, f"its certificate ends on {ends:%Y-%m-%d}", do)
