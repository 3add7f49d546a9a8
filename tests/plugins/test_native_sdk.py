"""A library in another repository is a table and a descriptor: built, tested and run with the installed SDK alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.plugins.conftest import ROOT, build_wheel

ACME = ROOT / "examples" / "plugins" / "hami-acme"
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(ROOT / "src" / "hami_native_sdk", tmp_path_factory.mktemp("sdk"))


# -S where the SDK is asked for: an editable install of it in this environment must not answer instead.
def run(*command: str | Path, **environ: str) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def configure(source: Path, build: Path, prefix: str) -> subprocess.CompletedProcess[str]:
    command = [BIN / "cmake", "-S", source, "-B", build, "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={BIN / 'ninja'}"]
    command += [f"-DPython3_EXECUTABLE={sys.executable}", f"-DCMAKE_PREFIX_PATH={prefix}", "-DHAMI_TESTS=ON"]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=200)


def test_the_sdk_says_where_it_is(sdk: Path) -> None:
    for option, file in {
        "--prefix": "share/hami/native/lib/libhami_interpose.a",
        "--cmake-dir": "HamiCoreConfig.cmake",
        "--test-runner": "",
    }.items():
        place = Path(run(sys.executable, "-S", "-m", "hami_native_sdk", option, PYTHONPATH=str(sdk)).strip())
        assert place.is_relative_to(sdk)
        assert (place / file if file else place).is_file()


def test_the_sdk_can_lie_anywhere(sdk: Path) -> None:
    texts = [path for path in sdk.rglob("*") if path.suffix in {".cmake", ".h", ".py", ".S", ".c"}]
    assert texts
    assert [path.name for path in texts if str(ROOT) in path.read_text(encoding="utf-8")] == []


def test_a_library_of_the_sdk_passes_the_tests_of_every_library(sdk: Path, tmp_path: Path) -> None:
    prefix = run(sys.executable, "-S", "-m", "hami_native_sdk", "--prefix", PYTHONPATH=str(sdk)).strip()
    configured = configure(ACME / "native", tmp_path, prefix)
    assert configured.returncode == 0, configured.stderr
    run(BIN / "cmake", "--build", tmp_path)
    said = run(BIN / "ctest", "--test-dir", tmp_path, "--output-on-failure")
    assert "100% tests passed" in said
    assert [name for name in ("needs_only_libc", "exports_its_table", "acme.paths") if name not in said] == []


def test_a_library_without_a_table_is_refused_with_the_page_to_read(sdk: Path, tmp_path: Path) -> None:
    prefix = run(sys.executable, "-S", "-m", "hami_native_sdk", "--prefix", PYTHONPATH=str(sdk)).strip()
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.21)\nproject(x C ASM)\nfind_package(HamiCore REQUIRED)\n"
        "hami_add_isolation_library(x API api.h SOURCES x.c)\n",
        encoding="utf-8",
    )
    configured = configure(tmp_path, tmp_path / "build", prefix)
    assert configured.returncode != 0
    said = " ".join(configured.stderr.split())
    assert "hami_add_isolation_library(x): TABLE is missing; see docs/plugins/native.md" in said


@pytest.mark.parametrize(
    ("asked", "printed"),
    [
        (("--memory", "16384"), ["the card has 16384 MiB, 16384 MiB free", "got 16 GiB, then status 2"]),
        ((), ["the card has 65536 MiB, 65536 MiB free", "got 64 GiB, then status 2"]),
    ],
    ids=["a share", "a whole card"],
)
def test_a_program_on_an_acme_machine_is_held_to_its_share(
    acme: Path, tmp_path: Path, asked: tuple[str, ...], printed: list[str]
) -> None:
    client = ACME / "examples" / "hold_memory.py"
    command = (BIN / "hami", "run", "--simulate", "acme-ring8", *asked, "--", sys.executable, client)
    said = run(*command, PYTHONPATH=str(acme), HAMI_STATE_DIR=str(tmp_path))
    assert said.splitlines() == printed


def test_without_the_library_the_driver_gives_the_whole_card(acme: Path) -> None:
    machine = acme / "hami_acme" / "machines" / "acme-ring8.json"
    environ = {"LD_LIBRARY_PATH": str(acme / "hami_acme" / "lib" / "fake" / "acme"), "HAMI_FAKE_MACHINE": str(machine)}
    said = run(sys.executable, ACME / "examples" / "hold_memory.py", **environ)
    assert said.splitlines() == ["the card has 65536 MiB, 65536 MiB free", "got 64 GiB, then status 102"]


def test_another_of_the_vendors_cards_is_used_when_a_program_asks_for_it(acme: Path, tmp_path: Path) -> None:
    code = (
        "import ctypes; acme = ctypes.CDLL('libacme.so'); address = ctypes.c_void_p()\n"
        "def take(gib): return acme.acmeMalloc(ctypes.byref(address), ctypes.c_size_t(gib << 30))\n"
        "print(take(9), take(9), acme.acmeSetDevice(1), take(9), take(9))"
    )
    command = (BIN / "hami", "run", "--simulate", "acme-ring8", "--count", "2", "--memory", "10240", "--")
    said = run(*command, sys.executable, "-c", code, PYTHONPATH=str(acme), HAMI_STATE_DIR=str(tmp_path))
    assert said.split() == ["0", "2", "0", "0", "2"]
