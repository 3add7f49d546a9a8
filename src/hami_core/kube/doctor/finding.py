"""One thing that a check has to say."""

from __future__ import annotations

import enum

import attrs


class Level(enum.StrEnum):
    """How much a finding matters. Only problems make the exit code 1."""

    PROBLEM = "problem"  # something does not work, or soon will not
    UNKNOWN = "unknown"  # could not be looked at
    NOTE = "note"  # works, and should be known
    OK = "ok"


@attrs.frozen(kw_only=True)
class Finding:
    """What a check found about one object, and what to do; `do` is empty only where nothing is to be done."""

    check: str
    level: Level
    about: str
    what: str
    do: str = ""


@attrs.frozen(kw_only=True)
class Check:
    """Makes the findings of one check."""

    name: str

    def problem(self, about: str, what: str, do: str) -> Finding:
        """Something does not work."""
        return Finding(check=self.name, level=Level.PROBLEM, about=about, what=what, do=do)

    def unknown(self, about: str, what: str, do: str) -> Finding:
        """Something could not be looked at."""
        return Finding(check=self.name, level=Level.UNKNOWN, about=about, what=what, do=do)

    def note(self, about: str, what: str, do: str = "") -> Finding:
        """Something works, and should be known."""
        return Finding(check=self.name, level=Level.NOTE, about=about, what=what, do=do)

    def ok(self, about: str, what: str) -> Finding:
        """All is well."""
        return Finding(check=self.name, level=Level.OK, about=about, what=what)
