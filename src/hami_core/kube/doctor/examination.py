"""All checks, one after the other; one that cannot look does not stop the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from hami_core.errors import ApiFailed, HamiError
from hami_core.kube.doctor import access, books, nodes, pending, profile, trust, versions, webhook
from hami_core.kube.doctor.finding import Check, Finding
from hami_core.kube.doctor.look import Look, why

CHECKS: tuple[tuple[str, Callable[[Look, Check], Awaitable[Sequence[Finding]]]], ...] = (
    ("versions", versions.check),
    ("installation", versions.check_installation),
    ("device configuration", versions.check_configuration),
    ("webhook", webhook.check),
    ("kube-scheduler", profile.check),
    ("rights", access.check),
    ("device plugins", trust.check),
    ("nodes", nodes.check),
    ("locks", nodes.check_locks),
    ("books", books.check),
    ("pending pods", pending.check),
)
"""What is checked, in the order in which it is told: a later check often only shows what an earlier one explains."""


async def examine(look: Look) -> list[Finding]:
    """Make every check."""
    found: list[Finding] = []
    faults: set[str] = set()
    for name, work in CHECKS:
        check = Check(name=name)
        try:
            found.extend(await work(look, check))
        except ApiFailed as err:
            found.append(check.unknown(err.call, why(err), _cure(err)))
        except HamiError as err:
            if str(err) in faults:
                found.append(check.unknown("the cluster", f"for the same reason: {err}", "mend it first"))
            else:
                found.append(check.problem("the cluster", str(err), "mend what it names"))
            faults.add(str(err))
    return found


def _cure(err: ApiFailed) -> str:
    if err.status in (401, 403):
        return "run hami doctor as a user that may do this: an administrator, or a role with this right"
    if err.status is None:
        return "is the API server reachable under the kubeconfig that is used?"
    return "see what the API server says"
