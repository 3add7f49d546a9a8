"""Reading files that somebody inside a container may have put there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from hami_core.errors import HamiError


class Untrustworthy(HamiError):
    """A file that is not one, or has more bytes than such a file can have. `problem` continues the file's name."""

    def __init__(self, *, file: str, problem: str) -> None:
        self.file = file
        self.problem = problem
        super().__init__(file, problem)

    def __str__(self) -> str:
        return f"{self.file}: {self.problem}"


def read_untrusted(path: Path, *, most_bytes: int, what: str) -> bytes | None:
    """Everything in the file; None when there is none. Never waits on a pipe and follows no link.

    Raises:
        Untrustworthy: not a regular file, or more than `most_bytes`, the size of the largest `what`.
        OSError: it cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise Untrustworthy(file=str(path), problem="is not a regular file")
        if found.st_size > most_bytes:
            problem = f"has {found.st_size} bytes; a {what} has at most {most_bytes}"
            raise Untrustworthy(file=str(path), problem=problem)
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(found.st_size)
    finally:
        os.close(descriptor)
