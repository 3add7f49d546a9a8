"""Opening vendors' libraries: what is missing, what is broken and what a code means are three different things."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from hami_core.errors import ProbeFailed
from hami_core.native_library import (
    CallFailed,
    FunctionMissing,
    LibraryMissing,
    LibraryPlace,
    NothingHere,
    Starting,
    text_of,
)

LIBC = LibraryPlace(vendor="acme", names=("libc.so.6",))
NOWHERE = LibraryPlace(vendor="acme", names=("libacme-not-there.so.1", "libacme-not-there.so"), folders=("/opt/acme",))


def test_the_first_name_that_the_loader_finds_is_taken() -> None:
    place = LibraryPlace(vendor="acme", names=("libacme-not-there.so", "libc.so.6"))
    assert place.open(environ={}).name == "libc.so.6"


def test_a_library_that_is_nowhere_is_missing_and_the_places_are_named() -> None:
    with pytest.raises(LibraryMissing) as refused:
        NOWHERE.open(environ={})
    assert str(refused.value) == (
        "no libacme-not-there.so.1 or libacme-not-there.so, nor one in /opt/acme; HAMI_ACME_LIBRARY can name the file"
    )


def test_a_vendors_own_folder_is_searched_after_the_loader(tmp_path: Path) -> None:
    (tmp_path / "libacme-not-there.so").write_bytes(b"not a library")
    place = LibraryPlace(vendor="acme", names=("libacme-not-there.so",), folders=(str(tmp_path),))
    with pytest.raises(ProbeFailed, match="cannot be loaded") as refused:
        place.open(environ={})
    assert not isinstance(refused.value, LibraryMissing), "it is there, and broken"


def test_the_variable_overrides_every_place(tmp_path: Path) -> None:
    broken = tmp_path / "libbroken.so"
    broken.write_bytes(b"not a library")
    with pytest.raises(ProbeFailed, match=r"libbroken\.so cannot be loaded"):
        LIBC.open(environ={"HAMI_ACME_LIBRARY": str(broken)})
    with pytest.raises(ProbeFailed, match=r"HAMI_ACME_LIBRARY names .*gone\.so, which does not exist") as refused:
        LIBC.open(environ={"HAMI_ACME_LIBRARY": str(tmp_path / "gone.so")})
    assert not isinstance(refused.value, LibraryMissing), "who names a file means it to be there"


def test_functions_that_are_lacking_are_all_named() -> None:
    library = LIBC.open(environ={})
    assert library.need(("abs", "getpid")) is library
    with pytest.raises(FunctionMissing, match=r"libc\.so\.6 has no acmeCount, acmeInit; its version is too old"):
        library.need(("acmeInit", "abs", "acmeCount"))
    with pytest.raises(FunctionMissing, match="acmeInit"):
        library.call("acmeInit")
    assert not library.ask("acmeInit")


def test_a_code_is_told_with_its_meaning() -> None:
    library = LIBC.open(meanings={3: "the driver is asleep"}, environ={})
    library.call("abs", ctypes.c_int(0))
    with pytest.raises(CallFailed) as refused:
        library.call("abs", ctypes.c_int(-3))
    assert (refused.value.function, refused.value.code) == ("abs", 3)
    assert str(refused.value) == "libc.so.6: abs answered 3: the driver is asleep"
    with pytest.raises(CallFailed, match="abs answered 7: an unknown error"):
        library.call("abs", ctypes.c_int(7))
    assert library.ask("abs", ctypes.c_int(0))
    assert not library.ask("abs", ctypes.c_int(7))
    assert library.code("abs", ctypes.c_int(7)) == 7


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"MLU370-X8\0garbage", "MLU370-X8"),
        (b" 910B3 \0", "910B3"),
        (b"no end", "no end"),
        (b"\xff\xfe\0", "\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"),
        (b"\0", ""),
    ],
)
def test_text_ends_at_the_first_nul(raw: bytes, text: str) -> None:
    assert text_of(raw) == text
    assert text_of((ctypes.c_uint8 * len(raw))(*raw)) == text


def starting(code: int) -> Starting:
    return Starting(
        driver="Acme's driver",
        api="ACML",
        needed=("abs",),
        meanings={3: "the driver is asleep"},
        function="abs",
        arguments=(ctypes.c_int(code),),
        absent={5: "no Acme is plugged in"},
    )


def test_a_driver_that_is_not_there_or_has_no_device_is_no_fault_and_one_that_fails_is() -> None:
    assert starting(0).start(LIBC).name == "libc.so.6"
    with pytest.raises(NothingHere, match=r"^Acme's driver is not installed \(no libacme-not-there"):
        starting(0).start(NOWHERE)
    with pytest.raises(NothingHere, match=r"^no Acme is plugged in$"):
        starting(5).start(LIBC)
    with pytest.raises(ProbeFailed, match=r"^ACML does not start: abs answered 3: the driver is asleep$") as refused:
        starting(3).start(LIBC)
    assert not isinstance(refused.value, NothingHere)
    with pytest.raises(ProbeFailed, match="abs answered 9: an unknown error"):
        starting(9).start(LIBC)


def test_a_library_that_something_else_starts_is_only_opened() -> None:
    assert Starting(driver="Acme's driver", api="ACML", needed=("abs",)).start(LIBC).has("abs")
    with pytest.raises(FunctionMissing):
        Starting(driver="Acme's driver", api="ACML", needed=("acmeInit",)).start(LIBC)
