"""Reading devices without trusting the driver: a probe runs in a child process, with a deadline.

A vendor library can crash, hang or print. The child is a fresh interpreter in a session of its own; it answers in JSON
through a pipe that nothing else writes to, and it is gone, with all it started, when this module returns.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from hami_core.errors import ProbeFailed, UnknownName, shown
from hami_core.probe_child import Answer

if TYPE_CHECKING:
    from hami_core.behaviour import Probe, ProbeReport
    from hami_core.registry import Registry

DEADLINE_S = 20.0
"""How long a probe may take. NVML on eight cards in power saving takes up to 5 s to initialise; twice that, doubled."""

_MOST_BYTES = 8 * 1024 * 1024  # of an answer; a hundred cards with links and profiles take a hundredth of it
_LAST_WORDS = 300  # characters of the child's stderr that are shown


def probe_vendor(
    registry: Registry, vendor: str, *, environ: Mapping[str, str] | None = None, timeout_s: float = DEADLINE_S
) -> ProbeReport | None:
    """Read the devices of one vendor on this host.

    Args:
        registry: where the vendor's plugin is found.
        vendor: a name of `Registry.vendors`.
        environ: the child's environment (a simulated machine's, say); None means this process's.
        timeout_s: seconds until the child is killed.

    Returns:
        What the probe saw; None when the plugin cannot probe.

    Raises:
        UnknownName: no plugin serves `vendor`.
        ProbeFailed: the probe raised, crashed, hung or answered nonsense. Unknown is not zero.
    """
    source = registry.vendors.get(vendor)
    if source is None:
        raise UnknownName(kind="vendor", name=vendor, known=tuple(registry.vendors))
    for plugin in registry.manager.plugins:
        if plugin.source != source or plugin.module is None:
            continue
        try:
            probe = registry.manager.ask(plugin, "hami_probe", vendor=vendor)
        except Exception as err:
            raise ProbeFailed(f"probe of {vendor}: its plugin fails: {type(err).__name__}: {err}") from err
        return None if probe is None else run_probe(probe, vendor=vendor, environ=environ, timeout_s=timeout_s)
    return None


def run_probe(
    probe: Probe, *, vendor: str, environ: Mapping[str, str] | None = None, timeout_s: float = DEADLINE_S
) -> ProbeReport:
    """Call `probe` in a child process and return its report.

    Raises:
        ProbeFailed: as in `probe_vendor`; also when `probe` is not importable by name.
    """
    target = importable_name(probe, what=f"probe of {vendor}")
    reading, writing = os.pipe()
    try:
        child = _start(target, writing, environ)
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    try:
        body, words = _listen(child, reading, vendor, timeout_s)
        if not body:
            _blame(child, vendor, words)
        return _decode(body, vendor)
    finally:
        _end(child)
        os.close(reading)


def importable_name(function: Any, *, what: str) -> str:
    """``module:name`` of a function, by which a child process finds it.

    Raises:
        ProbeFailed: it has none; `what` says whose function it is.
    """
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not module or not name or "<" in name:
        raise ProbeFailed(f"{what}: {shown(repr(function))} must be a function at the top of a module")
    return f"{module}:{name}"


def _start(target: str, writing: int, environ: Mapping[str, str] | None) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - this interpreter and a name from a loaded plugin
        [sys.executable, "-m", "hami_core.probe_child", str(writing), target],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=None if environ is None else dict(environ),
        pass_fds=(writing,),
        start_new_session=True,
    )


def _listen(child: subprocess.Popen[bytes], reading: int, vendor: str, timeout_s: float) -> tuple[bytes, str]:
    """The whole answer and what the child said on stderr. Returns when the answer's pipe is closed."""
    assert child.stderr is not None
    answer, words = bytearray(), bytearray()
    ends_at = time.monotonic() + timeout_s
    with selectors.DefaultSelector() as selector:
        selector.register(reading, selectors.EVENT_READ, answer)
        selector.register(child.stderr.fileno(), selectors.EVENT_READ, words)
        while selector.get_map():
            ready = selector.select(max(0.0, ends_at - time.monotonic()))
            if not ready and time.monotonic() >= ends_at:
                raise ProbeFailed(
                    f"probe of {vendor}: no answer within {timeout_s:g} s, so its driver may hang;"
                    f" devices stay as they were known{_quoted(words)}"
                )
            for key, _ in ready:
                piece = os.read(key.fd, 65536)
                key.data.extend(piece)
                if not piece:
                    selector.unregister(key.fd)
                    if key.fd == reading and answer:
                        return bytes(answer), ""
            if len(answer) > _MOST_BYTES:
                raise ProbeFailed(f"probe of {vendor}: answered more than {_MOST_BYTES} bytes")
            del words[: -8 * _LAST_WORDS]
    return bytes(answer), _quoted(words)


def _blame(child: subprocess.Popen[bytes], vendor: str, words: str) -> NoReturn:
    """Say how a child ended that did not answer."""
    try:
        code = child.wait(timeout=1.0)
    except subprocess.TimeoutExpired:
        raise ProbeFailed(f"probe of {vendor}: closed its answer without writing one{words}") from None
    how = f"exited with status {code}"
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        how = f"was ended by {name}"
    raise ProbeFailed(f"probe of {vendor}: the child {how} before it answered{words}")


def _decode(body: bytes, vendor: str) -> ProbeReport:
    try:
        answer = msgspec.json.decode(body, type=Answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as err:
        start = shown(body.decode("utf-8", "replace"))
        raise ProbeFailed(f"probe of {vendor}: the answer is not a report: {err}; it begins {start}") from err
    if answer.report is None:
        raise ProbeFailed(f"probe of {vendor}: {answer.error or 'answered neither a report nor an error'}")
    return answer.report


def _quoted(words: bytearray) -> str:
    text = words.decode("utf-8", "replace").strip()
    return f"; it said: {text[-_LAST_WORDS:]}" if text else ""


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill the child with everything it started, and collect it."""
    # The group outlives its leader while members are left, so it is killed even if the child has ended by itself.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    if child.stderr is not None:
        child.stderr.close()
