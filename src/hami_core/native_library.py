"""Vendors' management libraries through ctypes: where they are, which functions they have, what their codes mean.

A probe that opens one runs in a child process (`hami_core.probing`), which a library may hang or crash; what is told
here are the faults that a library reports in words, or by not being what was looked for.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import attrs

from hami_core.errors import ProbeFailed


class NothingHere(ProbeFailed):
    """There is nothing of the vendor's to use, which is no fault: what a probe reports as missing."""


class LibraryMissing(NothingHere):
    """The library is not installed."""


class FunctionMissing(ProbeFailed):
    """The library lacks a function that is needed: its version is too old, or it is not the vendor's."""


class CallFailed(ProbeFailed):
    """A call that answered with an error. `code` is the library's own number."""

    def __init__(self, *, library: str, function: str, code: int, meaning: str) -> None:
        self.library = library
        self.function = function
        self.code = code
        self.meaning = meaning
        super().__init__(library, function, code, meaning)

    def __str__(self) -> str:
        return f"{self.library}: {self.function} answered {self.code}: {self.meaning}"


@attrs.frozen(kw_only=True)
class LibraryPlace:
    """Where a vendor's library is looked for.

    `names` are tried in their order, by the loader's own search; `folders` are where the vendor's installer puts it,
    for hosts whose loader does not know them. The variable `HAMI_<VENDOR>_LIBRARY` names the one file to use instead.
    """

    vendor: str
    names: tuple[str, ...]
    folders: tuple[str, ...] = ()

    @property
    def variable(self) -> str:
        """The environment variable that overrides the search."""
        return f"HAMI_{self.vendor.upper()}_LIBRARY"

    def open(
        self, *, meanings: Mapping[int, str] | None = None, environ: Mapping[str, str] | None = None
    ) -> NativeLibrary:
        """Load the library.

        Args:
            meanings: of the codes that its functions answer with, 0 for success.
            environ: where the variable is looked up; None means this process's.

        Raises:
            LibraryMissing: there is none.
            ProbeFailed: there is one, and it cannot be loaded.
        """
        named = (os.environ if environ is None else environ).get(self.variable)
        if named:
            if not Path(named).exists():
                raise ProbeFailed(f"{self.variable} names {named}, which does not exist")
            return _load(named, meanings)
        for name in (*self.names, *(f"{folder}/{name}" for folder in self.folders for name in self.names)):
            if "/" in name and not Path(name).exists():
                continue
            try:
                return _load(name, meanings)
            except LibraryMissing:
                continue
        inside = f", nor one in {', '.join(self.folders)}" if self.folders else ""
        raise LibraryMissing(f"no {' or '.join(self.names)}{inside}; {self.variable} can name the file")


@attrs.frozen(kw_only=True)
class Starting:
    """How a vendor's library is brought to work.

    `driver` and `api` are what messages call the driver and the library. `function` starts the library; None where
    something else does. `absent` says of codes of it that they are no fault: what they mean, for people.
    """

    driver: str
    api: str
    needed: Collection[str] = ()
    meanings: Mapping[int, str] = attrs.field(factory=dict)
    function: str | None = None
    arguments: tuple[Any, ...] = ()
    absent: Mapping[int, str] = attrs.field(factory=dict)

    def start(self, place: LibraryPlace) -> NativeLibrary:
        """The library, loaded and started.

        Raises:
            NothingHere: there is no driver, or it has no device.
            ProbeFailed: there is one, and it does not work.
        """
        try:
            library = place.open(meanings=self.meanings).need(self.needed)
        except LibraryMissing as err:
            raise NothingHere(f"{self.driver} is not installed ({err})") from err
        code = 0 if self.function is None else library.code(self.function, *self.arguments)
        if code in self.absent:
            raise NothingHere(self.absent[code])
        if code:
            meaning = self.meanings.get(code, "an unknown error")
            raise ProbeFailed(f"{self.api} does not start: {self.function} answered {code}: {meaning}")
        return library


class NativeLibrary:
    """A loaded library. Arguments are ctypes values: a plain Python number would be passed as a C int.

    Args:
        handle: the library.
        name: as messages call it.
        meanings: of the codes that its functions answer with.
    """

    def __init__(self, handle: ctypes.CDLL, *, name: str, meanings: Mapping[int, str] | None = None) -> None:
        self.name = name
        self._handle = handle
        self._meanings = meanings or {}

    @property
    def handle(self) -> ctypes.CDLL:
        """The library itself, for a vendor's own binding."""
        return self._handle

    def need(self, functions: Collection[str]) -> Self:
        """This library, once it is known to have all of `functions`.

        Raises:
            FunctionMissing: names those that it lacks.
        """
        lacking = sorted(name for name in functions if not hasattr(self._handle, name))
        if lacking:
            raise FunctionMissing(
                f"{self.name} has no {', '.join(lacking)}; its version is too old, or it is another library"
            )
        return self

    def has(self, function: str) -> bool:
        """Whether the library exports `function`."""
        return hasattr(self._handle, function)

    def call(self, function: str, *arguments: Any) -> None:
        """Call a function that answers 0 for success.

        Raises:
            FunctionMissing: the library does not have it.
            CallFailed: it answered another code.
        """
        code = self.code(function, *arguments)
        if code:
            raise CallFailed(
                library=self.name, function=function, code=code, meaning=self._meanings.get(code, "an unknown error")
            )

    def ask(self, function: str, *arguments: Any) -> bool:
        """Call a function that a version may lack or refuse; whether it answered 0."""
        return self.has(function) and self.code(function, *arguments) == 0

    def optional(self, function: str, *arguments: Any) -> int | None:
        """Call a function that a version may lack; its code, or None where it is lacking."""
        return self.code(function, *arguments) if self.has(function) else None

    def text(self, function: str, *arguments: Any) -> bytes:
        """Call a function that answers with a C string; empty where it answers NULL.

        Raises:
            FunctionMissing: the library does not have it.
        """
        self.need((function,))
        # A prototype makes a function object of its own: the handle's is cached and answers with a C int.
        typed = ctypes.CFUNCTYPE(ctypes.c_char_p)((function, self._handle))
        answer: bytes | None = typed(*arguments)
        return answer or b""

    def code(self, function: str, *arguments: Any) -> int:
        """Call a function; its code, whatever it is.

        Raises:
            FunctionMissing: the library does not have it.
        """
        self.need((function,))
        answer: int = getattr(self._handle, function)(*arguments)
        return answer


def text_of(buffer: Sequence[int] | ctypes.Array[Any] | bytes) -> str:
    """The text in a C buffer: up to its first NUL, without blanks around; what is no UTF-8 is replaced."""
    return bytes(buffer).split(b"\0", 1)[0].decode("utf-8", "replace").strip()


def _load(name: str, meanings: Mapping[int, str] | None) -> NativeLibrary:
    try:
        return NativeLibrary(ctypes.CDLL(name), name=Path(name).name, meanings=meanings)
    except OSError as err:
        # The loader says the same of a library that is not there and of one that needs a library that is not there.
        if err.errno == errno.ENOENT or str(err).startswith(f"{name}: cannot open shared object file: No such file"):
            raise LibraryMissing(str(err)) from err
        raise ProbeFailed(f"{name} cannot be loaded: {err}") from err
