"""The child's side of a watch: call one function, and write what it reports to a pipe, a line an event.

Run as ``python -m hami_core.node.watch_child FD MODULE:NAME``. It ends when its standard input does, so that it never
outlives the agent, however that ends.
"""

from __future__ import annotations

import os
import sys
import threading

import msgspec

from hami_core.behaviour import DeviceEvent
from hami_core.probe_child import find


def main(argv: list[str]) -> int:
    """Report on the file descriptor ``argv[0]`` what the function ``argv[1]`` sees."""
    descriptor, target = int(argv[0]), argv[1]
    threading.Thread(target=_end_with_input, daemon=True).start()

    def report(event: DeviceEvent) -> None:
        os.write(descriptor, msgspec.json.encode(event) + b"\n")  # short of PIPE_BUF: whole or not at all

    find(target)(report)
    return 0


def _end_with_input() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)  # a driver's call may not return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
