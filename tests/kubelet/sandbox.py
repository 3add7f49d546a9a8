"""Where a node runs on this machine without touching it: mounts and processes of its own.

A mount namespace gives the node its own /run, /var/lib and /var/log, where kubelet and containerd have fixed paths, and
a /dev in which tests make device nodes. A PID namespace ends everything in it, containers too, when its first process
ends, and that ends with the test run, however that ends. What is left is cgroups: those of earlier runs are removed at
the start, ours at the end.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

from tests.cluster.control_plane import ControlPlane
from tests.cluster.processes import Service, wait_for

CGROUPS = Path("/sys/fs/cgroup")
REPLACED = ("run", "var/lib", "var/log", "dev")

_KEPT = ("dev/pts", "dev/shm")
_DEVICES = ("full", "kmsg", "null", "ptmx", "random", "tty", "urandom", "zero")

# The first process of a PID namespace must collect those that lost their parent: the shell's wait does.
_HOLD = """
set -e
mount --make-rshared /
for place in {kept}; do mount --rbind "/$place" "{root}/$place"; done
for place in {replaced}; do mount --rbind "{root}/$place" "/$place"; done
touch "{root}/mounted"
while :; do sleep 3600 & wait; done
"""


class Sandbox:
    """The namespaces of one node. `start` before use, `stop` always."""

    def __init__(self, plane: ControlPlane, folder: Path) -> None:
        self.root = folder / "root"
        self.cgroup = f"/hami-node-{os.getpid()}"
        self._plane = plane
        self._holder: Service | None = None
        self._pid = 0

    def start(self) -> None:
        """Make the namespaces."""
        _remove_old_cgroups()
        for controller in _controllers():
            _make_cgroup(controller, self.cgroup)
        for place in (*REPLACED, *_KEPT):
            (self.root / place).mkdir(parents=True)
        for name in _DEVICES:
            found = Path("/dev", name).stat()
            self._make_node(name, found.st_mode, found.st_rdev)
        (self.root / "dev/fd").symlink_to("/proc/self/fd")
        hold = _HOLD.format(replaced=" ".join(REPLACED), kept=" ".join(_KEPT), root=self.root)
        unshare = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private")
        self._holder = holder = self._plane.service("sandbox", *unshare, "sh", "-c", hold)
        holder.start()
        holder.wait_ready((self.root / "mounted").exists)
        self._pid = int(Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text())

    def stop(self) -> None:
        """End everything inside, and remove what it leaves."""
        if self._holder is not None:
            self._holder.kill()
        for controller in _controllers():
            _remove_cgroup(CGROUPS / controller / self.cgroup.lstrip("/"))
        shutil.rmtree(self.root, ignore_errors=True)

    def make_device(self, path: str) -> None:
        """A character device that swallows everything, in the place of a card's."""
        self._make_node(path.removeprefix("/dev/"), stat.S_IFCHR | 0o666, Path("/dev/null").stat().st_rdev)

    def service(self, name: str, *argv: object, env: Mapping[str, str] | None = None) -> Service:
        """A program inside, its log with the control plane's."""
        return self._plane.service(name, *self._enter(), *argv, env=env)

    def inside(self, path: str) -> Path:
        """Where a file below one of the replaced folders is, seen from outside."""
        relative = path.lstrip("/")
        assert relative.startswith(REPLACED), path
        return self.root / relative

    def command(self, *argv: object) -> list[str]:
        """The command line that runs a program inside."""
        return [str(word) for word in (*self._enter(), *argv)]

    def _make_node(self, name: str, mode: int, device: int) -> None:
        place = self.root / "dev" / name
        os.mknod(place, mode, device)
        place.chmod(stat.S_IMODE(mode))  # whatever the umask is

    def _enter(self) -> tuple[str, ...]:
        # nsenter waits for a child of its own, which must not outlive it.
        return (
            "nsenter",
            f"--target={self._pid}",
            "--mount",
            "--pid",
            "--wdns=/",
            "setpriv",
            "--pdeathsig",
            "KILL",
            "--",
        )


def why_not() -> str | None:
    """Why a node cannot run here; None where it can."""
    if os.geteuid() != 0:
        return "the node tests run a kubelet and containers: run them as root"
    if not (CGROUPS / "memory").is_dir():
        return f"the node tests were written for cgroup v1: {CGROUPS}/memory is missing"
    return None


def _controllers() -> list[str]:
    """Folders of cgroup v1 hierarchies; a link is another name of one."""
    return sorted(entry.name for entry in CGROUPS.iterdir() if entry.is_dir() and not entry.is_symlink())


def _make_cgroup(controller: str, name: str) -> None:
    made = CGROUPS / controller / name.lstrip("/")
    made.mkdir(exist_ok=True)
    for setting in ("cpuset.cpus", "cpuset.mems"):
        if (made / setting).exists():
            (made / setting).write_text((made.parent / setting).read_text())


def _remove_old_cgroups() -> None:
    for controller in _controllers():
        for old in (CGROUPS / controller).glob("hami-node-*"):
            if not Path(f"/proc/{old.name.rpartition('-')[2]}").exists():
                _remove_cgroup(old)


def _remove_cgroup(top: Path) -> None:
    """Remove a cgroup and those below; the kernel takes a moment to see that their processes ended."""

    def gone() -> bool:
        for folder, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()
        return not top.exists()

    wait_for(f"no {top}", gone, timeout_s=10)
