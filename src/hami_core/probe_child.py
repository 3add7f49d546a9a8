"""The child's side of a probe: import one function, call it, write what it says to a pipe.

Run as ``python -m hami_core.probe_child FD MODULE:NAME``. A vendor library may crash or hang this process; that is why
it is one.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import attrs
import msgspec

from hami_core.behaviour import ProbeReport
from hami_core.errors import HamiError


@attrs.frozen(kw_only=True)
class Answer:
    """What comes back through the pipe: a report, or why there is none."""

    report: ProbeReport | None = None
    error: str = ""


def main(argv: list[str]) -> int:
    """Answer on the file descriptor ``argv[0]`` with what the function ``argv[1]`` returns."""
    descriptor, target = int(argv[0]), argv[1]
    body = msgspec.json.encode(_answer(target))
    with os.fdopen(descriptor, "wb") as pipe:
        pipe.write(body)
    return 0


def _answer(target: str) -> Answer:
    try:
        report = find(target)()
    except HamiError as err:
        return Answer(error=str(err))
    except Exception as err:  # noqa: BLE001 - whatever a vendor library raises becomes the text of ProbeFailed
        return Answer(error=f"{type(err).__name__}: {err}")
    if not isinstance(report, ProbeReport):
        return Answer(error=f"{target} must return a ProbeReport; got {type(report).__name__}")
    return Answer(report=report)


def find(target: str) -> Any:
    """The function that ``module:name`` names."""
    module, _, path = target.partition(":")
    found: Any = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
