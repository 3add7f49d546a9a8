"""The child's side of making partitions: an order on standard input, the answer on a pipe that nothing else writes to.

Run as ``python -m hami_core.node.partition_child FD MODULE:NAME``.
"""

from __future__ import annotations

import os
import sys

import attrs
import msgspec

from hami_core.behaviour import PartitionAnswer, PartitionOrder
from hami_core.probe_child import find


@attrs.frozen(kw_only=True)
class Outcome:
    """What comes back: the answer, or why there is none."""

    answer: PartitionAnswer | None = None
    error: str = ""


def main(argv: list[str]) -> int:
    """Answer on the file descriptor ``argv[0]`` with what the function ``argv[1]`` makes of the order."""
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=PartitionOrder)
    try:
        outcome = Outcome(answer=find(argv[1])(order))
    except Exception as err:  # noqa: BLE001 - whatever a vendor library raises becomes the text of the refusal
        outcome = Outcome(error=str(err) or type(err).__name__)
    with os.fdopen(int(argv[0]), "wb") as pipe:
        pipe.write(msgspec.json.encode(outcome))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
