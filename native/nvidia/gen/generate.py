"""Build step: vendor headers + classification -> hook table, version script, export list.

Run by CMake. Exit status 2 and a message on stderr when a header declares a name nobody classified, so that a new
CUDA release is looked at by a person before it is built against.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import classify
import emit
import headers


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compiler", required=True, help="C compiler used as preprocessor")
    parser.add_argument("--cuda-include", required=True, type=Path, help="folder of cuda.h and cudaTypedefs.h")
    parser.add_argument("--nvml-include", required=True, type=Path, help="folder of nvml.h")
    parser.add_argument("--symbols", required=True, type=Path, help="folder of cuda.def and nvml.def")
    parser.add_argument("--out", required=True, type=Path, help="folder to write into")
    return parser.parse_args(argv)


def build_table(*, compiler: str, cuda_include: Path, nvml_include: Path, symbols: Path) -> emit.Table:
    """Read headers and classification into one table.

    Raises:
        headers.HeaderError: a header is unreadable.
        classify.ClassificationError: a .def file is malformed or does not cover its header.
    """
    cuda_text = headers.preprocess(
        compiler=compiler, header=cuda_include / "cuda.h", include_dirs=(cuda_include,), defines=headers.CUDA_DEFINES
    )
    nvml_text = headers.preprocess(
        compiler=compiler, header=nvml_include / "nvml.h", include_dirs=(nvml_include,), defines=headers.NVML_DEFINES
    )
    # Read as text, not preprocessed: only the names of the typedefs matter, those inside #if blocks too.
    typedefs_text = (cuda_include / "cudaTypedefs.h").read_text(encoding="utf-8", errors="replace")
    cuda_exported = headers.cuda_names(cuda_text)
    cuda = classify.read(symbols / "cuda.def")
    nvml = classify.read(symbols / "nvml.def")
    classify.check_covers(cuda, cuda_exported)
    classify.check_covers(nvml, headers.nvml_names(nvml_text))
    return emit.Table(cuda=cuda, nvml=nvml, introduced=headers.introduced_versions(typedefs_text, cuda_exported))


def _write(path: Path, text: str) -> None:
    """Write only on change, so that an unchanged table does not rebuild the library."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def main(argv: list[str]) -> int:
    """Generate everything; return the process's exit status."""
    arguments = _arguments(argv)
    try:
        table = build_table(
            compiler=arguments.compiler,
            cuda_include=arguments.cuda_include,
            nvml_include=arguments.nvml_include,
            symbols=arguments.symbols,
        )
    except (headers.HeaderError, classify.ClassificationError, OSError) as error:
        print(f"generate.py: {error}", file=sys.stderr)
        return 2
    arguments.out.mkdir(parents=True, exist_ok=True)
    _write(arguments.out / "hami_functions.h", emit.header(table))
    _write(arguments.out / "hami_functions.c", emit.source(table))
    _write(arguments.out / "exports.map", emit.version_script(table))
    _write(arguments.out / "exports.txt", "".join(f"{name}\n" for name in emit.exports(table)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
