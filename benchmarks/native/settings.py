"""The ways in which a program is measured: on the bare double, with the library, in a share."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One way to run a program."""

    name: str
    preload: bool
    limits: str | None

    def environment(self, *, build: Path, machine: Path, folder: Path) -> dict[str, str]:
        """Variables of the program, with the simulated machine's state and the limits file in `folder`."""
        variables = {
            name: value for name, value in os.environ.items() if not name.startswith(("LD_", "HAMI_", "CUDA_"))
        }
        variables |= {
            "LD_LIBRARY_PATH": str(build / "lib" / "fake"),
            "HAMI_FAKE_MACHINE": str(machine),
            "HAMI_FAKE_STATE": str(folder / "state"),
        }
        if self.preload:
            variables["LD_PRELOAD"] = str(build / "lib" / "libhami_nvidia.so")
        if self.limits is not None:
            limits = folder / f"{self.name.replace(' ', '-')}.limits"
            limits.write_text(self.limits, encoding="utf-8")
            variables["HAMI_LIMITS_FILE"] = str(limits)
        return variables


BARE = Settings(name="bare", preload=False, limits=None)
NO_LIMITS = Settings(name="no limits", preload=True, limits=None)


def share(name: str, *, region: Path, uuid: str, limit: str) -> Settings:
    """In a share of one card, held to `limit` as a limits file writes it."""
    head = f"hami-limits 1\nregion {region}\ncore-policy force\n"
    return Settings(name=name, preload=True, limits=f"{head}device {uuid} {limit}\n")
