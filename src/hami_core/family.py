"""A family: one kind of card with one set of resource names, as data.

A vendor plugin is mostly these tables. What a table cannot say is a small object behind one of the protocols in
`hami_core.behaviour`; everything else (register codecs, request parsing, fit loop, annotations) the core does from
these tables.
"""

from __future__ import annotations

import enum

import attrs

from hami_core.values import text, whole


class RegisterForm(enum.StrEnum):
    """How a family's node inventory is written (wire contract: node register)."""

    JSON = "json"
    CSV = "csv"
    CAPACITY = "capacity"  # cards are derived from node.status.capacity; an annotation, in JSON, goes before it


class NodeLock(enum.StrEnum):
    """Which node annotation serialises binds where the node cannot tell pods apart."""

    MUTEX = "hami.io/mutex.lock"
    DSMLU = "cambricon.com/dsmlu.lock"
    NONE = ""


@attrs.frozen(kw_only=True)
class Resources:
    """Names of a family's extended resources; None where the family has no such resource."""

    count: str = attrs.field(validator=text)
    memory: str | None = None
    memory_percent: str | None = None
    cores: str | None = None
    priority: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All names that exist, count first."""
        optional = (self.memory, self.memory_percent, self.cores, self.priority)
        return (self.count, *(name for name in optional if name))


@attrs.frozen(kw_only=True)
class Units:
    """What a number in a request means, and what an absent one stands for."""

    memory_unit_mib: int = attrs.field(default=1, validator=whole(1))  # Cambricon, Iluvatar 256; Moore Threads 512
    memory_factor: int = attrs.field(default=1, validator=whole(1))  # config: multiplies the requested memory
    core_unit: str = "percent"  # "percent", "sixteenth", "AI core": for people
    cores_per_card: int = attrs.field(default=100, validator=whole(1))
    totals_are_split: bool = False  # memory and cores are for all cards together (Moore Threads)
    default_memory_mib: int | None = None  # None: the whole card
    default_cores: int = attrs.field(default=0, validator=whole(0))
    default_count: int | None = None  # count to inject when only memory or cores are asked for

    @property
    def quota_factor(self) -> int:
        """MiB per unit of a namespace quota on the memory resource."""
        return self.memory_unit_mib * self.memory_factor


@attrs.frozen(kw_only=True)
class WireNames:
    """Annotation keys of a family; None where HAMi has none (wire contract: vendor table)."""

    register: str | None = None
    register_form: RegisterForm = RegisterForm.JSON
    handshake: str | None = None
    to_allocate: str | None = None
    allocated: str = attrs.field(validator=text)
    lock: NodeLock = NodeLock.MUTEX
    custom: tuple[str, ...] = ()  # facts of a card, of those in `Device.custom`, that the register carries
    node: tuple[tuple[str, str], ...] = ()  # annotations with their values that the node agent writes beside it


@attrs.frozen(kw_only=True)
class SelectorKeys:
    """Pod annotations that narrow the choice of cards; None where the family has none."""

    allow_types: str | None = None
    deny_types: str | None = None
    allow_uuids: str | None = None
    deny_uuids: str | None = None
    numa_bind: str | None = None
    mode: str | None = None


@attrs.frozen(kw_only=True)
class Template:
    """A fixed partition a vNPU card is cut into: what it holds."""

    name: str = attrs.field(validator=text)
    memory_mib: int = attrs.field(validator=whole(1))
    core_units: int = attrs.field(validator=whole(0))
    aicpu: int = attrs.field(default=0, validator=whole(0))


class VisibleForm(enum.StrEnum):
    """How a runtime's variable of visible devices names them."""

    UUID = "uuid"
    INDEX = "index"  # the driver's number of the card


@attrs.frozen(kw_only=True)
class Isolation:
    """How a process of this family is held to its share.

    `library` and `simulator_dir` are paths inside the vendor's package, found with importlib.resources.
    """

    library: str = attrs.field(validator=text)  # "lib/libhami_nvidia.so"
    simulator_dir: str | None = None  # "lib/fake": driver test doubles, for --simulate
    simulated_probe: bool = True  # whether the doubles answer the vendor's probe; else the machine file does
    visible_env: str = attrs.field(validator=text)  # "CUDA_VISIBLE_DEVICES"
    visible_form: VisibleForm = VisibleForm.UUID
    runtime_env: str | None = None  # "NVIDIA_VISIBLE_DEVICES": what the container runtime reads


@attrs.frozen(kw_only=True)
class Sharing:
    """How the cards of a family are shared on a node that says nothing else.

    Scales multiply what a card is registered with; a scale over 1 promises more than there is.
    """

    split_count: int = attrs.field(default=10, validator=whole(1))
    memory_scaling: float = attrs.field(default=1.0, validator=attrs.validators.gt(0))
    core_scaling: float = attrs.field(default=1.0, validator=attrs.validators.gt(0))
    memory_mib: int | None = None  # of a card whose driver does not tell; None or 0: such a card is not given out
    numa: bool = False  # tell kubelet which NUMA node a card is on
    core_policy: str = "default"
    log_level: int | None = None  # of the isolation library, as the vendor counts

    @property
    def oversubscribe(self) -> bool:
        """Whether containers may be promised more memory than a card has."""
        return self.memory_scaling > 1


@attrs.frozen(kw_only=True)
class Family:
    """One kind of card, complete. See the plugins for what differs between vendors."""

    name: str = attrs.field(validator=text)  # HAMi's CommonWord, also the type field in pod annotations
    vendor: str = attrs.field(validator=text)  # "nvidia", "ascend": the plugin's word and the examples folder
    models: tuple[str, ...] = ()  # as the driver names them, where a vendor has several families; () means any
    resources: Resources
    wire: WireNames
    units: Units = Units()
    selectors: SelectorKeys = SelectorKeys()
    templates: tuple[Template, ...] = ()
    cards_per_pod: int | None = None  # Moore Threads: containers of a pod may share one card only
    runtime_class: str | None = None
    isolation: Isolation | None = None
    sharing: Sharing | None = None  # where the vendor's section of the configuration says it, and HAMi's config.json
    settings: object = attrs.field(default=None, hash=False)  # the plugin's typed section; the core never looks inside

    def registered_model(self, model: str) -> str:
        """A card's model as HAMi's device plugins register it: the family's word, and what the driver's name adds."""
        if model in self.models:
            return self.name
        return model if model.startswith(self.name) else f"{self.name}-{model}"
