"""The child's side of a probe: import one function, call it, write what it says to a pipe.

Run as ``python -m hami_core.probe_child FD MODULE:NAME``. A vendor library may crash or hang this process; that is why
it is one. It ends with the process that wants the answer: nobody else would end a driver call that hangs.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import select
import signal
import sys
from typing import Any

import attrs
import msgspec

from hami_core.behaviour import ProbeReport
from hami_core.errors import HamiError

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


@attrs.frozen(kw_only=True)
class Answer:
    """What comes back through the pipe: a report, or why there is none."""

    report: ProbeReport | None = None
    error: str = ""


def main(argv: list[str]) -> int:
    """Answer on the file descriptor ``argv[0]`` with what the function ``argv[1]`` returns."""
    descriptor, target = int(argv[0]), argv[1]
    _end_with_parent(descriptor)
    body = msgspec.json.encode(_answer(target))
    with os.fdopen(descriptor, "wb") as pipe:
        pipe.write(body)
    return 0


def _end_with_parent(descriptor: int) -> None:
    """Have the kernel end this process when the thread that started it is gone."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
    # It may have gone before: then nobody reads the pipe any more.
    poll = select.poll()
    poll.register(descriptor, 0)
    if any(events & select.POLLERR for _descriptor, events in poll.poll(0)):
        sys.exit(1)


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
