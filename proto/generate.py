# /// script
# requires-python = ">=3.11"
# dependencies = ["grpcio-tools==1.76.0", "mypy-protobuf==5.1.0"]
# ///
"""Generate the Python code and stubs of the services from `proto/`; with Go there, the Go example's too.

Run by `make proto`, in an environment of its own (`uv run --script`): the generator is pinned older than the oldest
runtime we allow, because generated code refuses a protobuf that is older than its generator, and the project's own
environment has the newest.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
WELL_KNOWN = Path(protoc.__file__).parent / "_proto"
KUBELET = ("hami_core/node/api/v1beta1/deviceplugin.proto", "hami_core/node/api/v1/podresources.proto")
GO_MODULE = ROOT / "examples" / "embed" / "go"
GO_PACKAGE = "example.com/hami-embed/fitv1"
GO_TOOLS = ("protoc-gen-go", "protoc-gen-go-grpc")


def python(out: Path) -> None:
    """Write `hami_core/rpc/fit/v1/fit_pb2*.py`, kubelet's APIs under `hami_core/node/api`, and `.pyi`, under `out`."""
    # The virtual path in front of "=" is the Python package, so the generated imports are right as they come.
    run(
        f"-Ihami_core/rpc={ROOT / 'proto' / 'hami'}",
        f"-Ihami_core/node/api={ROOT / 'proto' / 'kubelet'}",
        *(f"--{plugin}_out={out}" for plugin in ("python", "grpc_python", "mypy", "mypy_grpc")),
        "hami_core/rpc/fit/v1/fit.proto",
        *KUBELET,
    )


def go(out: Path) -> None:
    """Write the Go package `fitv1` under `out`, with the plugins that the example's go.mod pins."""
    proto = "hami/fit/v1/fit.proto"
    tools = {name: tool(name) for name in GO_TOOLS}
    run(
        f"-I{ROOT / 'proto'}",
        *(f"--plugin={name}={path}" for name, path in tools.items()),
        *(f"--{kind}_out={out}" for kind in ("go", "go-grpc")),
        *(f"--{kind}_opt=M{proto}={GO_PACKAGE}" for kind in ("go", "go-grpc")),
        *(f"--{kind}_opt=module={GO_PACKAGE.rpartition('/')[0]}" for kind in ("go", "go-grpc")),
        proto,
    )


def tool(name: str) -> str:
    """Build a tool of the Go module and return where it is."""
    command = ["go", "tool", "-n", name]
    built = subprocess.run(command, cwd=GO_MODULE, check=True, capture_output=True, text=True)  # noqa: S603 - ours
    return built.stdout.strip()


def run(*arguments: str) -> None:
    """Call protoc, or end the program with its status."""
    status = protoc.main(["protoc", f"-I{WELL_KNOWN}", *arguments])
    if status:
        sys.exit(status)


def main() -> None:
    """Regenerate everything in place, or only what is asked for, elsewhere, for a comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python-out", type=Path, metavar="FOLDER", help="write only the Python code, under FOLDER")
    parser.add_argument("--go-out", type=Path, metavar="FOLDER", help="write only the Go code, under FOLDER")
    options = parser.parse_args()
    if options.python_out:
        python(options.python_out)
    if options.go_out:
        go(options.go_out)
    if options.python_out or options.go_out:
        return
    python(ROOT / "src")
    if shutil.which("go"):
        go(GO_MODULE)
    else:
        print(f"go is not installed: {GO_MODULE.relative_to(ROOT)} is left as it is", file=sys.stderr)


if __name__ == "__main__":
    main()
