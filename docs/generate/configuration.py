"""Every setting of ``device-config.yaml``, from the types that read it. One without a text here fails the test."""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec

from hami_ascend.config import ChipConfig as AscendChip
from hami_ascend.config import TemplateConfig, VnpuConfig
from hami_dcu import HygonConfig
from hami_iluvatar import ChipConfig as IluvatarChip
from hami_mlu import CambriconConfig
from hami_mthreads import MthreadsConfig
from hami_nvidia.config import MigAllowance, NvidiaConfig

_SECTIONS: tuple[tuple[str, str, type[msgspec.Struct]], ...] = (
    ("nvidia", "NVIDIA GPUs.", NvidiaConfig),
    ("nvidia.migProfileAllowlist[]", "Which MIG profiles the cards of some models may be cut into.", MigAllowance),
    ("cambricon", "Cambricon MLUs.", CambriconConfig),
    ("hygon", "Hygon DCUs.", HygonConfig),
    ("iluvatars[]", "Iluvatar CoreX chips: one entry a chip.", IluvatarChip),
    ("mthreads", "Moore Threads GPUs.", MthreadsConfig),
    ("vnpus", "Ascend NPUs.", VnpuConfig),
    ("vnpus.configs[]", "One Ascend chip.", AscendChip),
    ("vnpus.configs[].templates[]", "A partition that the firmware can cut the chip into.", TemplateConfig),
)

_SAYS = {
    "aiCPU": "AI CPUs.",
    "aiCore": "AI cores.",
    "chipName": "The chip as the driver names it.",
    "commonWord": "The family: the word in annotations and resource names.",
    "configs": "The chips; without it the built-in ones.",
    "defaultCores": "Core share of a container that names none; 0: not limited.",
    "defaultGPUNum": "Cards of a container that asks for memory or cores only; 0: such a pod is left alone.",
    "defaultMemory": "Memory of a container that names none, in MiB; 0: the whole card.",
    "deviceCoreScaling": "Cores promised to those there are; over 1 promises more.",
    "deviceMemoryScaling": "Memory promised to memory there is; over 1 promises more.",
    "deviceSplitCount": "How many containers may share one card.",
    "disableCoreLimit": "No container is held to its cores.",
    "enableNumaTopology": "Tell kubelet which NUMA node a card is on.",
    "gpuCorePolicy": "When cores are held to: `default` (while others want the card), `force`, `disable`.",
    "hamiVnpuCore": "Soft sharing: containers are held by the library, not by the firmware's templates.",
    "knownMigGeometries": "Read and ignored: HAMi before 2.10 took the geometries from here, now nodes register them.",
    "libCudaLogLevel": "Log level of the library in containers: 0 errors to 4 everything.",
    "memory": "Memory of the partition in MiB.",
    "memoryAllocatable": "What a whole card gives a container, in MiB.",
    "memoryCapacity": "The most that a container may ask for, in MiB; 0: `memoryAllocatable`.",
    "memoryFactor": "Multiplies the memory that pods write; 0: as 1.",
    "migProfileAllowlist": "Without it: the profiles that the node registered.",
    "models": "Parts of model names.",
    "name": "The template's name.",
    "overwriteEnv": "Containers that ask for nothing get an empty list of visible devices.",
    "preConfiguredDeviceMemory": "Memory of every card in MiB, where the driver cannot tell; 0: ask the driver.",
    "profiles": "MIG profile names, such as `1g.10gb`.",
    "resourceCoreName": "Resource for the core share.",
    "resourceCountName": "Resource for the number of cards.",
    "resourceMemoryName": "Resource for memory.",
    "resourceMemoryPercentageName": "Resource for memory in percent of the card.",
    "resourceName": "Resource for the number of cards.",
    "resourcePriorityName": "Resource for the priority among containers of a card.",
    "runtimeClassName": "RuntimeClass of pods that ask for these cards; empty: as the pod says.",
    "superPod": "Two cards are one module (910C).",
    "templates": "The partitions that exist.",
}

_HEAD = """# Configuration

`device-config.yaml` has one section a vendor; all of it may be left out. `hami scheduler`, `hami node-agent` and
`hami schedule` take it with `--device-config-file`, the chart makes it from its values. It is checked whole: an unknown
setting, a wrong type and a value out of range are errors with the line and, where a name is close, that name. A running
scheduler reads a changed file by itself and keeps the old one if the new one is wrong.

What is set on the command line instead is on [Commands](commands.md); the chart's values on
[Chart values](chart.md).
"""


def page() -> str:
    """The page. Raises LookupError for a setting that nobody has described."""
    return _HEAD + "".join(_section(*section) for section in _SECTIONS)


def _section(name: str, says: str, kind: type[msgspec.Struct]) -> str:
    return f"\n## {name}\n\n{says}\n\n| Setting | Default | Says |\n|---|---|---|\n" + "".join(_rows(kind))


def _rows(kind: type[msgspec.Struct]) -> Iterator[str]:
    for field in msgspec.structs.fields(kind):
        name = field.encode_name
        if name not in _SAYS:
            raise LookupError(f"{kind.__name__}.{field.name}: say in docs/generate/configuration.py what {name} is for")
        yield f"| `{name}` | {_default(field)} | {_SAYS[name]} |\n"


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    value = field.default
    if value is None or (isinstance(value, tuple) and not value):
        return ""
    return "built in" if isinstance(value, tuple) else f"`{json.dumps(value)}`"
