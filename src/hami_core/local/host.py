"""The local host: one machine, its cards and its leases; what `hami run` and `hami ps` are made of."""

from __future__ import annotations

import contextlib
import os
from types import TracebackType
from typing import Self

import attrs

from hami_core.local.cordon import cordoned_cards
from hami_core.local.grant import Ask, NoRoom, asked_cards, full_uuids, take
from hami_core.local.inside import furnish
from hami_core.local.launch import Launcher
from hami_core.local.leases import LeaseBooksUnusable, Leases
from hami_core.local.machine import Machine
from hami_core.local.resize import Resized, resize
from hami_core.local.sight import Card, look_at
from hami_core.local.usage import region_in_use
from hami_core.objects import NodeFacts
from hami_core.registry import Registry
from hami_core.resizing import Wish
from hami_core.verdict import Rejected
from hami_core.wire.cordon import CORDON, encode_cordon


class LocalHost:
    """A machine whose cards are shared by leases. A context manager: the books are open inside."""

    def __init__(self, machine: Machine, registry: Registry) -> None:
        self.machine = machine
        self._registry = registry
        self._leases = Leases(machine.folder, in_use=region_in_use)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leases.close()

    def cards(self, vendor: str | None, ask: Ask) -> tuple[Card, ...]:
        """The cards that `ask` may be given, as their driver shows them now.

        Raises:
            NothingToShare: there are none, or several vendors have some.
            UnknownName: no such vendor here.
        """
        return asked_cards(look_at(self.machine, self._registry, vendor), vendor, ask.models)

    def run(self, cards: tuple[Card, ...], ask: Ask, command: tuple[str, ...], *, program: str) -> int | NoRoom:
        """Take a lease, run `command` inside it, end the lease; the command's exit code, or why there is no room.

        Raises:
            UnknownName: `ask` names a card that is not there.
            CannotStart: the program cannot be executed.
            NotInstalled: the isolation library is missing.
        """
        ask = attrs.evolve(ask, uuids=full_uuids(cards, ask.uuids))
        with Launcher() as launcher:
            outcome = take(self._leases, cards, ask, command, machine=self._facts(), registry=self._registry)
            if isinstance(outcome, NoRoom):
                return outcome
            lease = outcome
            try:
                folder = self._leases.folder_of(lease.id)
                environ = furnish(lease, cards, folder, machine=self.machine, registry=self._registry, base=os.environ)
                return launcher.run(
                    program, command, environ, hand_over=lambda owner: self._leases.hand_over(lease.id, owner)
                )
            finally:
                # The command's exit code matters more than books that broke meanwhile: whoever can look next drops
                # the lease, for its owner is gone.
                with contextlib.suppress(LeaseBooksUnusable):
                    self._leases.release(lease.id)

    def resize(self, cards: tuple[Card, ...], lease_id: str, wish: Wish) -> Resized:
        """Give a lease other limits; its command goes by them at its next call.

        Raises:
            UnknownName: no such lease.
            CannotResize: the cards have no room.
            OSError: its limits file cannot be written.
        """
        return resize(self._leases, cards, lease_id, wish, machine=self.machine.name, registry=self._registry)

    def _facts(self) -> NodeFacts:
        annotations = {CORDON: encode_cordon(cordoned_cards(self.machine.folder))}
        return NodeFacts(name=self.machine.name, annotations=annotations)


def reasons(refused: NoRoom, cards: tuple[Card, ...]) -> tuple[str, ...]:
    """Why each card was passed over, a line a card, in the order of the cards."""
    if not isinstance(refused.verdict, Rejected):
        return (str(refused.verdict),)
    by_uuid = {reason.uuid: reason for reason in refused.verdict.devices}
    refusals = [by_uuid[card.device.uuid] for card in cards if card.device.uuid in by_uuid]
    return tuple(reason.detail or f"{reason.uuid}: {reason.reason}" for reason in refusals)
