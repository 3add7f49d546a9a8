"""What a lease is: who holds which shares of this machine, for which command."""

from __future__ import annotations

import attrs

from hami_core.local.process import Process
from hami_core.model import ContainerShares, DeviceShare, Placement
from hami_core.values import text


@attrs.frozen(kw_only=True)
class Lease:
    """Shares of one machine held by one command and everything it starts.

    The memory of an oversubscribing lease is a limit, not a reservation: what the card has no room for lies in host
    memory, and the driver moves it there when someone with a reservation needs the card.
    """

    id: str = attrs.field(validator=text)
    owner: Process
    command: tuple[str, ...]
    uid: int
    started_s: float  # unix time
    family: str = attrs.field(validator=text)
    shares: tuple[DeviceShare, ...]
    priority: int | None = None
    oversubscribe: bool = False

    @property
    def key(self) -> str:
        """The name the fit engine and its messages use for this lease."""
        return f"lease/{self.id}"

    def placement(self, machine: str) -> Placement:
        """What this lease takes of `machine`, as the fit engine counts it."""
        taken = tuple(attrs.evolve(share, memory_mib=0) if self.oversubscribe else share for share in self.shares)
        return Placement(node=machine, containers=(ContainerShares(name=self.id, shares={self.family: taken}),))
