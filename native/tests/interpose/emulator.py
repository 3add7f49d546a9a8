"""Programs for another processor: what a preloaded library's test has to do differently for them."""

from __future__ import annotations

import shlex


def emulated(emulator: str, command: list[str], variables: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """The command and its environment under ``emulator``, a command line; unchanged when that is empty.

    The dynamic loader's variables are for the program and not for the emulator, which cannot load the same libraries.
    """
    if not emulator:
        return command, variables
    loader = [word for name in variables if name.startswith("LD_") for word in ("-E", f"{name}={variables[name]}")]
    kept = {name: value for name, value in variables.items() if not name.startswith("LD_")}
    return [*shlex.split(emulator), *loader, *command], kept
