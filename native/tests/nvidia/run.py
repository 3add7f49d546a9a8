"""Runs one test program on a simulated machine, inside a share or outside one.

Everything the program needs is made in a temporary folder: the simulated machine's state, the limits file, the region.
The exit status is the program's own.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from emulator import emulated

# In a mount namespace of the program's own: nothing of it is seen outside, or left.
MOUNT_LIMITS = """
mount -t tmpfs hami-test /run
mkdir /run/hami
touch /run/hami/limits
mount --bind {limits} /run/hami/limits
mount -o remount,ro,bind /run/hami/limits
LD_PRELOAD={preload} exec "$@"
"""
# The same for a container whose host memory is limited.
MOUNT_CONTAINER_LIMIT = """
mount -t tmpfs hami-test /sys/fs/cgroup
echo $(({mib} << 20)) > /sys/fs/cgroup/memory.max
echo 0 > /sys/fs/cgroup/memory.current
LD_PRELOAD={preload} exec "$@"
"""
# The same for a machine whose kernel limits device memory, which few have.
MOUNT_KERNEL_LIMIT = """
group=$(sed -n 's/^0:://p' /proc/self/cgroup)
mount -t tmpfs hami-test /sys/fs/cgroup
mkdir -p "/sys/fs/cgroup$group"
printf '%s\\n' {limit} > "/sys/fs/cgroup$group/dmem.max"
LD_PRELOAD={preload} exec "$@"
"""


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", required=True, type=Path, help="libhami_nvidia.so")
    parser.add_argument("--fakes", required=True, type=Path, help="folder of the driver's test doubles")
    parser.add_argument("--machine", required=True, type=Path, help="machine JSON")
    parser.add_argument(
        "--memory-mib",
        type=int,
        nargs="*",
        default=[],
        help="memory limit of each device; the last counts for the rest",
    )
    parser.add_argument("--only", type=int, help="leave every device but this one out of the share")
    parser.add_argument("--by-environment", action="store_true", help="limits in HAMi's environment variables, no file")
    parser.add_argument(
        "--fixed-limits",
        action="store_true",
        help="limits at the path that is fixed, on a mount that the program can only read, and none in its environment",
    )
    parser.add_argument("--kernel-limit", default="", help="the container's dmem.max, on a mount of the program's own")
    parser.add_argument("--core-percent", type=int, default=0, help="core limit of every device; 0: none")
    parser.add_argument("--policy", default="default", help="core policy")
    parser.add_argument("--oversubscribe", action="store_true")
    parser.add_argument("--container-mib", type=int, help="host memory that the program's control group may have")
    parser.add_argument("--no-limits", action="store_true", help="preload the library and set no limits")
    parser.add_argument("--no-preload", action="store_true", help="leave the library out as well")
    parser.add_argument("--emulator", default="", help="command line that runs programs of the library's processor")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("command", nargs="+")
    return parser.parse_args(argv)


def uuids(arguments: argparse.Namespace) -> list[str]:
    """What can be given away on the machine: its cards, or their instances, in its order."""
    found: list[str] = []
    for device in json.loads(arguments.machine.read_text(encoding="utf-8"))["devices"]:
        instances = (device.get("mig") or {}).get("instances") or []
        found += [instance["uuid"] for instance in instances] or [device["uuid"]]
    return found


def limits_text(arguments: argparse.Namespace, folder: Path) -> str:
    """Render the limits file that a host would write for the whole machine."""
    lines = [
        "hami-limits 1",
        f"region {folder / 'region'}",
        f"core-policy {arguments.policy}",
        f"oversubscribe {'yes' if arguments.oversubscribe else 'no'}",
    ]
    for index, uuid in enumerate(uuids(arguments)):
        if arguments.only in (None, index):
            memory = "".join(f" memory_mib={mib}" for mib in arguments.memory_mib[: index + 1][-1:])
            lines.append(f"device {uuid}{memory} core_percent={arguments.core_percent}")
    return "".join(f"{line}\n" for line in lines)


def environment(arguments: argparse.Namespace, folder: Path) -> dict[str, str]:
    """Variables of the program: the caller's own, the simulated machine, and the share."""
    variables = dict(os.environ)
    variables["LD_LIBRARY_PATH"] = str(arguments.fakes.resolve())
    variables["HAMI_FAKE_MACHINE"] = str(arguments.machine.resolve())
    variables["HAMI_FAKE_STATE"] = str(folder / "state")
    # A sanitizer's runtime wants to be first; it is in the program, and everything it intercepts is called from there.
    # The double keeps what a program does not give back, as a driver does; so does the loader as a program.
    suppressions = folder / "suppressions"
    suppressions.write_text("leak:libcuda.so.1\nleak:libnvidia-ml.so.1\nleak:_dl_map_object_deps\n", encoding="utf-8")
    variables["LSAN_OPTIONS"] = f"suppressions={suppressions}:print_suppressions=0"
    variables["ASAN_OPTIONS"] = f"verify_asan_link_order=0:{variables.get('ASAN_OPTIONS', '')}"
    if not arguments.no_preload:
        variables["LD_PRELOAD"] = str(arguments.library.resolve())
    if arguments.by_environment:
        for index, mib in enumerate(arguments.memory_mib):
            variables[f"CUDA_DEVICE_MEMORY_LIMIT_{index}"] = f"{mib}m"
        variables["CUDA_DEVICE_MEMORY_SHARED_CACHE"] = str(folder / "region")
    elif not arguments.no_preload and not arguments.no_limits:
        limits = folder / "limits"
        limits.write_text(limits_text(arguments, folder), encoding="utf-8")
        if not arguments.fixed_limits:
            variables["HAMI_LIMITS_FILE"] = str(limits)
    # "{uuid1}" stands for the second device's.
    known = {f"uuid{index}": uuid for index, uuid in enumerate(uuids(arguments))} | {"folder": str(folder)}
    for pair in arguments.env:
        name, value = pair.split("=", 1)
        variables[name] = value.format(**known)
    return variables


def in_own_mounts(script: str, command: list[str]) -> list[str]:
    """The command in a mount namespace that `script` prepares."""
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", "--mount", *user, "sh", "-ec", script, "sh", *command]


def main(argv: list[str]) -> int:
    """Run the command; return its exit status, or 128 plus the signal that ended it."""
    arguments = _arguments(argv)
    with tempfile.TemporaryDirectory(prefix="hami-nvidia-") as folder:
        variables = environment(arguments, Path(folder))
        command = arguments.command
        if arguments.fixed_limits:
            # The library is for the program alone, not for the commands that prepare its place.
            script = MOUNT_LIMITS.format(limits=shlex.quote(f"{folder}/limits"), preload=variables.pop("LD_PRELOAD"))
            command = in_own_mounts(script, command)
        elif arguments.container_mib is not None:
            script = MOUNT_CONTAINER_LIMIT.format(mib=arguments.container_mib, preload=variables.pop("LD_PRELOAD"))
            command = in_own_mounts(script, command)
        elif arguments.kernel_limit:
            script = MOUNT_KERNEL_LIMIT.format(
                limit=shlex.quote(arguments.kernel_limit), preload=variables.pop("LD_PRELOAD")
            )
            command = in_own_mounts(script, command)
        command, variables = emulated(arguments.emulator, command, variables)
        done = subprocess.run(command, env=variables, check=False)
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
