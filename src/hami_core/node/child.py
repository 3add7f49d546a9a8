"""A child process of the agent that calls one function of a vendor's plugin, and answers on a pipe of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Mapping


@contextlib.asynccontextmanager
async def child(
    module: str, target: str, environ: Mapping[str, str] | None
) -> AsyncIterator[tuple[asyncio.subprocess.Process, asyncio.StreamReader]]:
    """Run ``python -m MODULE FD TARGET``; the process, and what it writes to FD. It is gone when the block ends.

    Standard output and error go nowhere: a vendor's library may print what it likes.

    Args:
        module: the child's side.
        target: the plugin's function, as ``module:name``.
        environ: of the child; None means this process's.
    """
    reading, writing = os.pipe()
    answers = asyncio.StreamReader()
    try:
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(answers), os.fdopen(reading, "rb")
        )
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", module, str(writing), target),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                env=None if environ is None else dict(environ),
                pass_fds=(writing,),
            )
        except BaseException:
            transport.close()
            raise
    finally:
        os.close(writing)
    try:
        yield process, answers
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        transport.close()
