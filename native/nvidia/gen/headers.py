"""Reads the exported function names out of the vendor's C headers.

The compiler's own preprocessor does the reading: it knows every ``#define`` that renames a function
(``cuMemAlloc`` is ``cuMemAlloc_v2`` to today's callers), and with the vendor's internal switch on it also shows the
old variants and the per-thread-stream twins under their exact names. What is left is plain C declarations.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

# With this macro cuda.h declares every exported variant under its exact name, old ABIs included.
CUDA_DEFINES = ("-D__CUDA_API_VERSION_INTERNAL",)
# The two together make nvml.h declare both the versioned and the first names.
NVML_DEFINES = ("-D__NVML_API_VERSION_INTERNAL", "-DNVML_NO_UNVERSIONED_FUNC_DEFS")

_CUDA_FUNCTION = re.compile(r"\bCUresult\s+(cu[A-Z]\w*)\s*\(")
_NVML_FUNCTION = re.compile(r"\b(?:nvmlReturn_t|const\s+char\s*\*)\s*(nvml[A-Z]\w*)\s*\(")
_CUDA_TYPEDEF = re.compile(r"\*\s*PFN_(cu[A-Z]\w*?)_v(\d+)(_ptds|_ptsz)?\s*\)")
_CUDA_EXPORT = re.compile(r"(?P<base>cu\w+?)(?:_v(?P<variant>\d+))?(?P<twin>_ptds|_ptsz)?")


class HeaderError(Exception):
    """A header could not be read or does not look like the vendor's."""


@dataclass(frozen=True, kw_only=True)
class Export:
    """One exported CUDA name taken apart: ``cuMemAllocAsync_v2_ptsz`` is base, variant 2, twin ``_ptsz``."""

    name: str
    base: str
    variant: int
    per_thread: bool


def preprocess(*, compiler: str, header: Path, include_dirs: tuple[Path, ...], defines: tuple[str, ...]) -> str:
    """Return the preprocessed text of ``header``.

    Raises:
        HeaderError: the compiler refused the header; the message carries the compiler's own words.
    """
    command = [
        compiler,
        "-E",
        "-P",
        "-x",
        "c",
        *defines,
        *(f"-I{directory}" for directory in include_dirs),
        str(header),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise HeaderError(f"{header}: the preprocessor {compiler!r} failed:\n{done.stderr}")
    return done.stdout


def cuda_names(text: str) -> list[str]:
    """Every function cuda.h declares, in the header's order.

    Raises:
        HeaderError: fewer than 400 names; CUDA 11.0 already had more, so the parser and the header disagree.
    """
    return _unique(_CUDA_FUNCTION.findall(text), at_least=400, what="cuda.h")


def nvml_names(text: str) -> list[str]:
    """Every function nvml.h declares, in the header's order.

    Raises:
        HeaderError: fewer than 200 names, for the same reason as in `cuda_names`.
    """
    return _unique(_NVML_FUNCTION.findall(text), at_least=200, what="nvml.h")


def _unique(names: list[str], *, at_least: int, what: str) -> list[str]:
    found = list(dict.fromkeys(names))
    if len(found) < at_least:
        raise HeaderError(f"{what}: found {len(found)} function names, expected {at_least} or more; see headers.py")
    return found


def split_export(name: str) -> Export:
    """Take an exported CUDA name apart into base, variant (1 when unnumbered) and twin."""
    match = _CUDA_EXPORT.fullmatch(name)
    if match is None:
        raise HeaderError(f"{name}: not a CUDA export name")
    return Export(
        name=name,
        base=match["base"],
        variant=int(match["variant"] or 1),
        per_thread=match["twin"] is not None,
    )


def introduced_versions(typedefs_text: str, exports: list[str]) -> dict[str, int]:
    """Map an exported name to the CUDA version (12050 for 12.5) that introduced its ABI.

    cudaTypedefs.h names each ABI ``PFN_<base>_v<version>[_ptsz]``; the exports number the same ABIs 1, 2, 3 in the
    same order, so the n-th version belongs to the n-th variant. A base whose counts differ is left out: a caller
    then relies on the pointer the driver returned and guesses nothing.
    """
    versions: dict[tuple[str, bool], set[int]] = {}
    for base, version, twin in _CUDA_TYPEDEF.findall(typedefs_text):
        versions.setdefault((base, bool(twin)), set()).add(int(version))
    variants: dict[tuple[str, bool], list[Export]] = {}
    for export in map(split_export, exports):
        variants.setdefault((export.base, export.per_thread), []).append(export)
    introduced: dict[str, int] = {}
    for key, family in variants.items():
        known = sorted(versions.get(key, ()))
        if len(known) == len(family):
            family.sort(key=lambda export: export.variant)
            introduced.update({export.name: version for export, version in zip(family, known, strict=True)})
    return introduced
