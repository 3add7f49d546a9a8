"""Every environment variable that we read, found in the sources. One without a text here fails the test."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]

_PEOPLE = {
    "HAMI_<VENDOR>_LIBRARY": "The management library of a vendor that is not NVIDIA, such as `HAMI_MLU_LIBRARY`.",
    "HAMI_DEBUG": "1: an internal error shows its traceback.",
    "HAMI_NATIVE_DIR": "Folder of native libraries to use in place of those in the vendors' packages.",
    "HAMI_NODELOCK_EXPIRE": "As `hami scheduler --node-lock-timeout`.",
    "HAMI_PLUGINS": "The only plugins to load, separated by commas.",
    "HAMI_PLUGIN_SOCKETS": "Folder of plugins in processes of their own; by default `/var/lib/hami/plugins`.",
    "HAMI_PLUGIN_TABLES": "Folder of such plugins' tables; by default `/etc/hami/plugins`.",
    "HAMI_STATE_DIR": "Where `hami run` keeps leases; by default under `$XDG_STATE_HOME`, else `~/.local/state`.",
    "HAMI_TRACE_HOOKS": "1: every hook call is printed to stderr.",
}
_LIBRARIES = {
    "HAMI_LIMITS_FILE": "The limits file. Without it `/run/hami/limits`, and without that file the variables below.",
    "CUDA_DEVICE_MEMORY_LIMIT": "NVIDIA and Iluvatar: memory of each card (`3000m`); with `_<i>` of the i-th.",
    "CUDA_DEVICE_SM_LIMIT": "The core share in percent; with `_<i>` of the i-th.",
    "CUDA_DEVICE_MEMORY_SHARED_CACHE": "The shared region's file.",
    "CUDA_OVERSUBSCRIBE": "`true`: memory beyond the card is taken from the host's.",
    "CUDA_TASK_PRIORITY": "0 high, 1 low.",
    "GPU_CORE_UTILIZATION_POLICY": "`default`, `force` or `disable`.",
    "LIBCUDA_LOG_LEVEL": "0 errors to 4 everything; silent without it.",
    "HAMI_DEVICE_MEMORY_LIMIT": "Other vendors: as `CUDA_DEVICE_MEMORY_LIMIT`.",
    "HAMI_DEVICE_CORE_LIMIT": "Other vendors: as `CUDA_DEVICE_SM_LIMIT`.",
    "HAMI_REGION": "Other vendors: the shared region's file.",
    "HAMI_TASK_PRIORITY": "Other vendors: 0 high, 1 low.",
    "HAMI_CORE_POLICY": "Other vendors: `default`, `force` or `disable`.",
    "HAMI_LOG_LEVEL": "Other vendors: 0 errors to 4 everything.",
    "HAMI_DEVICE_NUMBERS": "Other vendors: the driver's numbers of the share's cards, if not renumbered.",
}
_SIMULATED = {
    "HAMI_FAKE_BACKING_MIB": "How many MiB of one device allocation really exist; writes beyond are dropped.",
    "HAMI_FAKE_BUS_MIB_PER_S": "MiB that cross the bus between host and simulated card in a second; 24000 by default.",
    "HAMI_FAKE_FAULTS": "Faults to inject: which call fails, how, at which time it is made.",
    "HAMI_FAKE_GRANULARITY": "What `cuMemAlloc` rounds sizes up to: 512 or 2097152 bytes.",
    "HAMI_FAKE_IMPORTS": "`listed`: NVML's figure of a process contains memory imported from others, too.",
    "HAMI_FAKE_KERNEL_NS": "How long every kernel takes on the simulated clock.",
    "HAMI_FAKE_MACHINE": "The machine file; without it the simulated driver finds no cards.",
    "HAMI_FAKE_SELF_CALLS": "1: the driver calls some of its own exports by name, for tests of re-entrancy.",
    "HAMI_FAKE_STATE": "The file that processes on one simulated machine share; without it each has its own.",
    "HAMI_FAKE_TIME_SCALE": "Real seconds per simulated second; 0: the clock jumps when somebody waits.",
}
_PARTS = (
    ("The commands", "", _PEOPLE),
    (
        "The isolation libraries",
        "`hami run` and the node agent write a limits file; the rest is for containers of HAMi's device plugins.",
        _LIBRARIES,
    ),
    ("The simulated drivers", "For tests; [more](../fake-driver.md).", _SIMULATED),
)
# Words that look like variables in the sources and are something else, or belong to tests of the sources themselves.
_NO_VARIABLES = {"HAMI_API", "HAMI_API_CUDA", "HAMI_API_NVML", "HAMI_RGN"}
_LITERAL = re.compile(r'"(HAMI_[A-Z][A-Z0-9_]*[A-Z0-9])"')
_SOURCES = (
    "src/**/*.py",
    "native/core/*.[ch]",
    "native/interpose/*.[ch]",
    "native/fake/**/*.[ch]",
    "native/*/src/*.[ch]",
)


def page() -> str:
    """The page. Raises LookupError for a variable that nobody has described."""
    described = {name for _, _, table in _PARTS for name in table}
    if unknown := sorted(set(variables()) - described):
        raise LookupError(f"say in docs/generate/environment.py what these are for: {', '.join(unknown)}")
    return "# Environment variables\n" + "".join(_part(*part) for part in _PARTS)


def variables() -> Iterator[str]:
    """Names in the sources that are variables of ours."""
    for pattern in _SOURCES:
        for file in ROOT.glob(pattern):
            if "testing" not in file.parts:
                found = _LITERAL.findall(file.read_text(encoding="utf-8"))
                yield from (name for name in found if name not in _NO_VARIABLES)


def _part(title: str, says: str, table: dict[str, str]) -> str:
    intro = f"{says}\n\n" if says else ""
    rows = "".join(f"| `{name}` | {text} |\n" for name, text in table.items())
    return f"\n## {title}\n\n{intro}| Variable | Says |\n|---|---|\n{rows}"
