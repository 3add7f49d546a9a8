"""The `hami` command: one module per verb, imported only when that verb runs."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its code; the console script calls this."""
    from hami_core.cli.group import run

    sys.exit(run(sys.argv[1:]))
