"""A probe runs in a child with a deadline, whatever the vendor library does to that child."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hami_core.behaviour import Link, Probe, ProbedDevice, ProbeReport
from hami_core.errors import ProbeFailed, UnknownName
from hami_core.model import PartitionPlacement, PartitionProfile
from hami_core.probe_child import Answer
from hami_core.probing import probe_vendor, run_probe
from hami_core.registry import load_registry

HEAD = """
import ctypes, os, signal, subprocess, sys, time
from hami_core.behaviour import Link, ProbedDevice, ProbeReport
from hami_core.model import PartitionPlacement, PartitionProfile
"""
Runner = Callable[..., ProbeReport]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    """Runs the body of a probe, written as a module of its own."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def run_body(body: str, **options: float) -> ProbeReport:
        name = f"probe_{abs(hash(body))}"
        lines = "".join(f"    {line}\n" for line in body.splitlines())
        (tmp_path / f"{name}.py").write_text(f"{HEAD}\ndef probe():\n{lines}")
        importlib.invalidate_caches()
        probe: Probe = importlib.import_module(name).probe
        environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
        return run_probe(probe, vendor="acme", environ=environ, **options)

    return run_body


def test_a_report_comes_back_whole(run: Runner) -> None:
    report = run(
        "return ProbeReport(vendor='acme', driver='1.2', devices=(ProbedDevice(uuid='A-1', index=0, model='big',\n"
        "  memory_mib=None, numa=1, mode='mig', custom={'bus': '0000:01:00.0'},\n"
        "  profiles=(PartitionProfile(name='1g', memory_mib=5, core_units=14, slice_count=1,\n"
        "    placements=(PartitionPlacement(start=2, size=1),)),),\n"
        "  links=(Link(peer_uuid='A-2', kind='nvlink', count=4),)),))"
    )
    profile = PartitionProfile(
        name="1g",
        memory_mib=5,
        core_units=14,
        slice_count=1,
        placements=(PartitionPlacement(start=2, size=1),),
    )
    device = ProbedDevice(
        uuid="A-1",
        index=0,
        model="big",
        memory_mib=None,
        numa=1,
        mode="mig",
        custom={"bus": "0000:01:00.0"},
        profiles=(profile,),
        links=(Link(peer_uuid="A-2", kind="nvlink", count=4),),
    )
    assert report == ProbeReport(vendor="acme", driver="1.2", devices=(device,))


def test_what_the_library_prints_is_not_taken_for_the_answer(run: Runner) -> None:
    report = run("print('loading...', flush=True)\nreturn ProbeReport(vendor='acme', missing='no driver')")
    assert report.missing == "no driver"


def test_an_exception_is_named(run: Runner) -> None:
    with pytest.raises(ProbeFailed, match="probe of acme: RuntimeError: firmware too old"):
        run("raise RuntimeError('firmware too old')")


def test_a_crash_is_named_with_the_last_words(run: Runner) -> None:
    with pytest.raises(ProbeFailed, match=r"was ended by SIGSEGV before it answered; it said: about to fall"):
        run("print('about to fall', file=sys.stderr, flush=True)\nos.kill(os.getpid(), signal.SIGSEGV)")


def test_an_early_exit_is_named(run: Runner) -> None:
    with pytest.raises(ProbeFailed, match="exited with status 3 before it answered"):
        run("os._exit(3)")


def test_a_crash_after_the_answer_does_not_matter(run: Runner) -> None:
    report = run("import atexit\natexit.register(os.abort)\nreturn ProbeReport(vendor='acme', missing='nothing here')")
    assert report.missing == "nothing here"


def test_a_hang_ends_at_the_deadline_with_everything_the_child_started(run: Runner, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with pytest.raises(ProbeFailed, match=r"no answer within 1\.5 s, so its driver may hang"):
        run(
            f"child = subprocess.Popen(['sleep', '1000'])\nopen({str(pid_file)!r}, 'w').write(str(child.pid))\n"
            "time.sleep(1000)",
            timeout_s=1.5,
        )
    if pid_file.exists():  # a slow machine may not have got so far
        grandchild = Path("/proc") / pid_file.read_text()
        deadline = time.monotonic() + 10
        while _running(grandchild) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not _running(grandchild)


def _running(process: Path) -> bool:
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_something_else_than_a_report_is_refused(run: Runner) -> None:
    with pytest.raises(ProbeFailed, match="must return a ProbeReport; got list"):
        run("return []")


def test_a_report_with_a_wrong_type_is_refused(run: Runner) -> None:
    with pytest.raises(ProbeFailed, match="the answer is not a report"):
        run("return ProbeReport(vendor='acme', devices=(ProbedDevice(uuid=5, index=0, model='m', memory_mib=1),))")


def test_a_probe_that_no_other_process_can_import_is_refused() -> None:
    with pytest.raises(ProbeFailed, match="must be a function at the top of a module"):
        run_probe(lambda: ProbeReport(vendor="acme"), vendor="acme")


def test_an_unknown_vendor_is_an_error() -> None:
    with pytest.raises(UnknownName, match="no vendor named"):
        probe_vendor(load_registry(plugins=[]), "acme")


names = st.text(max_size=20)
amounts = st.none() | st.integers(0, 2**40)
devices = st.builds(
    ProbedDevice,
    uuid=names,
    index=st.integers(0, 64),
    model=names,
    memory_mib=amounts,
    memory_used_mib=amounts,
    numa=st.none() | st.integers(0, 8),
    healthy=st.booleans(),
    health_note=names,
    links=st.lists(st.builds(Link, peer_uuid=names, kind=names, count=st.integers(1, 36)), max_size=3).map(tuple),
    custom=st.dictionaries(names, names | st.integers(-(2**40), 2**40) | st.booleans(), max_size=3),
)


@given(st.builds(ProbeReport, vendor=names, driver=st.none() | names, devices=st.lists(devices, max_size=3).map(tuple)))
def test_every_report_survives_the_pipe(report: ProbeReport) -> None:
    assert msgspec.json.decode(msgspec.json.encode(Answer(report=report)), type=Answer) == Answer(report=report)
