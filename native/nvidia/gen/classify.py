"""Reads the classification files: what this library does about every name the vendor exports.

A line is ``<class> <name>``; ``#`` starts a comment. The classes:

========= ==========================================================================================
charge    the call takes or returns device memory; a wrapper keeps the books
limit     the call submits work; a wrapper paces it
fake      the call describes the device or finds symbols; a wrapper shows the share instead of the card
forward   nothing to do: the library does not export the name, so callers reach the driver directly
use       not a class: a forwarded name that the wrappers themselves call (listed besides its class)
========= ==========================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HOOKED = ("charge", "limit", "fake")
CLASSES = (*HOOKED, "forward")


class ClassificationError(Exception):
    """A classification file is malformed, or does not cover the header."""


@dataclass(frozen=True, kw_only=True)
class Classification:
    """One .def file: the class of each name, and the forwarded names the wrappers call."""

    path: Path
    classes: dict[str, str]
    uses: frozenset[str]

    def hooked(self) -> list[str]:
        """Names that get a wrapper, sorted."""
        return sorted(name for name, kind in self.classes.items() if kind in HOOKED)


def read(path: Path) -> Classification:
    """Parse one .def file.

    Raises:
        ClassificationError: an unknown class, a malformed line, or a name listed twice; names file and line.
    """
    classes: dict[str, str] = {}
    uses: set[str] = set()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        where = f"{path}:{number}"
        if [word in (*CLASSES, "use") for word in words] != [True, False]:
            raise ClassificationError(f"{where}: want '<{' | '.join(CLASSES)} | use> <name>', found {line.strip()!r}")
        kind, name = words
        if kind == "use":
            uses.add(name)
        elif name in classes:
            raise ClassificationError(f"{where}: {name} is already classified '{classes[name]}'; keep one line")
        else:
            classes[name] = kind
    return Classification(path=path, classes=classes, uses=frozenset(uses))


def check_covers(classification: Classification, exported: list[str]) -> None:
    """Make sure every exported name is classified, and that nothing to be wrapped is missing from the header.

    A forwarded name the header lacks is fine: it is newer or older than this header. A hooked or used one is not,
    since its wrapper could not be compiled.

    Raises:
        ClassificationError: with one line per name, each saying what to add where.
    """
    known = set(exported)
    problems = [
        f"{name} is exported by the header and not classified: add 'charge|limit|fake|forward {name}' to"
        f" {classification.path} (charge: takes or frees device memory; limit: submits work; fake: shows the share;"
        " forward: none of these)"
        for name in exported
        if name not in classification.classes
    ]
    needed = sorted({*classification.hooked(), *classification.uses} - known)
    problems += [
        f"{name} is hooked or used in {classification.path} and the header does not declare it: build with a newer"
        " vendor header, or drop the line with its wrapper"
        for name in needed
    ]
    if problems:
        raise ClassificationError("\n".join(problems))
