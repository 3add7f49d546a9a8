"""Tells workloads who else is at work, in their limits files. A file is written only when what it says changes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from hami_core.errors import HamiError
from hami_core.isolation.rewriting import rewrite
from hami_core.monitor.activity import Reading
from hami_core.monitor.decision import Task, Words, decide
from hami_core.monitor.workload import Workload

_log = logging.getLogger(__name__)
_OURS = ("contended=", "yield=")


@attrs.define
class Counts:
    """What feedback did so far."""

    rewritten: int = 0
    failed: int = 0


class Feedback:
    """Keeps the words `contended` and `yield` of limits files true."""

    def __init__(self) -> None:
        self.counts = Counts()

    def apply(self, workloads: Sequence[Workload], readings: Mapping[tuple[str, str], Reading]) -> None:
        """Decide for all workloads, and rewrite the files that say something else."""
        decided = decide(_task(workload, readings) for workload in workloads if workload.limits is not None)
        for workload in workloads:
            if workload.key in decided:
                self._tell(workload, decided[workload.key])

    def _tell(self, workload: Workload, words: Mapping[str, Words]) -> None:
        try:
            if revise(workload.limits_path, words):
                self.counts.rewritten += 1
        except FileNotFoundError:
            pass  # it ended since it was read
        except (HamiError, OSError, UnicodeDecodeError) as err:
            self.counts.failed += 1
            _log.warning("%s: cannot say who else is at work: %s", workload.limits_path, err)


def revise(path: Path, words: Mapping[str, Words]) -> bool:
    """Make a limits file say `words`; everything else in it stays as it is. True when it had to be written.

    Raises:
        FileNotFoundError: there is no such folder.
        OSError: the file cannot be read or written, or somebody else is at it.
        Untrustworthy: it is no file, or too large to be one.
    """
    return rewrite(path, lambda text: reworded(text, words))


def reworded(content: str, words: Mapping[str, Words]) -> str:
    """The text of a limits file with the words of its devices exchanged for `words`."""
    return "\n".join(_line(line, words) for line in content.split("\n"))


def _line(line: str, words: Mapping[str, Words]) -> str:
    parts = line.split()
    if parts[:1] != ["device"] or len(parts) == 1 or parts[1] not in words:
        return line
    said = words[parts[1]]
    kept = [part for part in parts if not part.startswith(_OURS)]
    kept.append(f"contended={'yes' if said.contended else 'no'}")
    if said.yields:
        kept.append("yield=yes")
    return " ".join(kept)


def _task(workload: Workload, readings: Mapping[tuple[str, str], Reading]) -> Task:
    working = {}
    for share in workload.shares():
        reading = readings.get((workload.key, share.limits.uuid))
        working[share.limits.uuid] = reading is not None and reading.active
    assert workload.limits is not None, "only workloads with limits are asked"
    return Task(key=workload.key, host=workload.owner.node, priority=workload.limits.priority, working=working)
