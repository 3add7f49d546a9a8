"""What a check is: a sentence, a function that raises `NotConforming`, and what a plugin must offer to be asked."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from hami_core.testing.conformance.subject import Subject


class NotConforming(AssertionError):
    """A rule that the plugin does not keep: what was found, and what to do about it."""

    def __init__(self, found: str, advice: str) -> None:
        self.found = found
        self.advice = advice
        super().__init__(found, advice)

    def __str__(self) -> str:
        return f"{self.found}\n  {self.advice}"


class Ability(enum.StrEnum):
    """What a plugin may offer. A check that needs an ability is left out where the plugin does not have it."""

    ANYTHING = "anything"
    MODULE = "code in this process"
    FAMILIES = "families"
    POLICIES = "policies"
    REGISTER = "a register form of the core"
    PROBE = "a probe"
    OWN_PROBE = "a probe in this process"
    SIMULATION = "a probe that can be simulated"
    CHOOSER = "a chooser of cards"
    ALLOCATOR = "an allocator"
    ISOLATION = "an isolation library"
    DOCS = "a page of documentation"
    EXAMPLES = "example pods"


@attrs.frozen(kw_only=True)
class Check:
    """One rule. `title` is a sentence that is true of a plugin which keeps it, `why` what it is good for."""

    group: str
    title: str
    why: str
    needs: Ability
    run: Callable[[Subject], None] = attrs.field(repr=False)

    @property
    def id(self) -> str:
        """The title as one word, for test ids and reports."""
        return self.title.replace(" ", "-")


def check(group: str, needs: Ability = Ability.FAMILIES) -> Callable[[Callable[[Subject], None]], Check]:
    """Make a check of a function: its name is the title, its docstring says why."""

    def make(function: Callable[[Subject], None]) -> Check:
        why = " ".join((inspect.getdoc(function) or "").split())
        return Check(group=group, title=function.__name__.replace("_", " "), why=why, needs=needs, run=function)

    return make


def require(holds: object, found: str, advice: str) -> None:
    """Raise `NotConforming` unless `holds`."""
    if not holds:
        raise NotConforming(found, advice)
