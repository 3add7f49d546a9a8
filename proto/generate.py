# /// script
# requires-python = ">=3.11"
# dependencies = ["grpcio-tools==1.76.0", "mypy-protobuf==5.1.0"]
# ///
"""Generate the Python code and stubs of the services from `proto/`; with Go there, the Go examples' too.

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
GO_PLUGIN_MODULE = ROOT / "examples" / "plugins" / "remote-go"
GO_PACKAGES = {
    "hami/fit/v1/fit.proto": "example.com/hami-embed/fitv1",
    "hami/plugin/v1/plugin.proto": "example.com/hami-borealis/pluginv1",
}
GO_TOOLS = ("protoc-gen-go", "protoc-gen-go-grpc")


def python(out: Path) -> None:
    """Write under `out` the services' packages, each where its users are, and kubelet's APIs; with stubs."""
    # The virtual path in front of "=" is the Python package, so the generated imports are right as they come.
    run(
        f"-Ihami_core/rpc={ROOT / 'proto' / 'hami'}",
        f"-Ihami_core/remote={ROOT / 'proto' / 'hami'}",
        f"-Ihami_core/node/api={ROOT / 'proto' / 'kubelet'}",
        *(f"--{plugin}_out={out}" for plugin in ("python", "grpc_python", "mypy", "mypy_grpc")),
        "hami_core/rpc/fit/v1/fit.proto",
        "hami_core/remote/plugin/v1/plugin.proto",
        *KUBELET,
    )


def go(out: Path, proto: str) -> None:
    """Write the Go package of one service under `out`, with the generators that the embedding example's go.mod pins."""
    package = GO_PACKAGES[proto]
    tools = {name: tool(name) for name in GO_TOOLS}
    run(
        f"-I{ROOT / 'proto'}",
        *(f"--plugin={name}={path}" for name, path in tools.items()),
        *(f"--{kind}_out={out}" for kind in ("go", "go-grpc")),
        *(f"--{kind}_opt=M{proto}={package}" for kind in ("go", "go-grpc")),
        *(f"--{kind}_opt=module={package.rpartition('/')[0]}" for kind in ("go", "go-grpc")),
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
        for proto in GO_PACKAGES:
            go(options.go_out, proto)
    if options.python_out or options.go_out:
        return
    python(ROOT / "src")
    if shutil.which("go"):
        for module, proto in zip((GO_MODULE, GO_PLUGIN_MODULE), GO_PACKAGES, strict=True):
            go(module, proto)
    else:
        print("go is not installed: the Go examples are left as they are", file=sys.stderr)


if __name__ == "__main__":
    main()
