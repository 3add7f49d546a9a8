"""Extension points, in the order a pod meets them.

Each docstring answers the same questions: who calls it, how often, what it may touch, what an empty answer means, what
an exception does, since when. A test checks that none is missing.

Hooks declare: they return frozen values or small objects (`hami_core.behaviour`), once, at load. On the hot path the
core finds a family in a dict and calls those objects directly, so pluggy's dispatch never costs a decision anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hami_core.behaviour import (
        Admitter,
        Allocator,
        FitBehaviour,
        NodeCodec,
        PartitionTool,
        PlacementWriter,
        Probe,
        RequestParser,
        Watch,
    )
    from hami_core.family import Family
    from hami_core.score.policy import Policy
    from hami_core.wire.device_config import ConfigSections

PROJECT = "hami"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def hami_families(config: ConfigSections) -> Iterable[Family]:
    """Declare the families this plugin serves, from its tables and its section of the device configuration.

    Caller:    every process role, once at load, before any other hook; again when the configuration is reloaded.
    May touch: nothing. The webhook has no devices and runs this too; looking for hardware belongs in `hami_probe`.
    Empty:     the plugin is installed but serves nothing under this configuration.
    Raises:    BadConfig for a bad section stops the load with that message; any other exception marks the plugin
               broken and leaves it out, the others load.
    Since:     0.1
    """
    return ()


@hookspec
def hami_machines() -> Iterable[Path]:
    """Name the machine files (JSON) this plugin ships, for `--simulate` and for tests.

    Caller:    the CLI and the test kit, when a simulated machine is asked for.
    May touch: its own package data.
    Empty:     the plugin cannot be simulated.
    Raises:    the plugin is reported as broken and left out.
    Since:     0.1
    """
    return ()


@hookspec
def hami_probe(vendor: str) -> Probe | None:
    """Return the function that reads this vendor's devices on this host.

    Caller:    the local host and the node agent, in a child process with a deadline, at start and on every refresh.
    May touch: the vendor's management library, sysfs. The returned function must be importable in a fresh interpreter.
    Empty:     None: devices of this vendor are known only from the cluster.
    Raises:    the probe is reported as failed; what was known before stays (unknown is not zero).
    Since:     0.1
    """


@hookspec
def hami_watch(vendor: str) -> Watch | None:
    """Return the function that waits for what this vendor's driver reports by itself.

    Caller:    the node agent, in a child process of its own that runs as long as the agent does.
    May touch: the vendor's management library. The returned function must be importable in a fresh interpreter.
    Empty:     None: the health of this vendor's devices is known from probes alone.
    Raises:    the function is started again after a while; no device is the worse for it.
    Since:     0.1
    """


@hookspec
def hami_node_codec(family: Family) -> NodeCodec | None:
    """Return how this family's devices are read from a node, where the register table does not say it all.

    Caller:    the registry, once a family at load; `decode` then runs once per changed node.
    May touch: nothing.
    Empty:     None: the core decodes `family.wire.register` in its JSON or CSV form.
    Raises:    BadWire from `decode` makes this family broken on that node only, with the message as the reason.
    Since:     0.1
    """


@hookspec
def hami_admit(family: Family) -> Admitter | None:
    """Return how a container that asks for this family is completed or refused at creation.

    Caller:    the registry, once a family at load; the result runs once per container of each admitted pod.
    May touch: nothing.
    Empty:     None: a container that names the count resource is found, nothing is changed.
    Raises:    AdmissionRefused and BadQuantity refuse the pod with their text.
    Since:     0.1
    """


@hookspec
def hami_request(family: Family) -> RequestParser | None:
    """Return how a container's resources become a `DeviceRequest`.

    Caller:    the registry, once a family at load; the result runs once per container and decision.
    May touch: nothing.
    Empty:     None: the core reads count, memory, percent and cores by `family.resources` and `family.units`.
    Raises:    BadQuantity from the result refuses the pod with its text; it is never taken as "asks for nothing".
    Since:     0.1
    """


@hookspec
def hami_fit(family: Family) -> FitBehaviour | None:
    """Return this family's extra rules, chooser, partitioner and node score.

    Caller:    the registry, once a family at load; its members run inside decisions, on the nodes considered.
    May touch: nothing; no I/O, no clock, no randomness. The same input must give the same answer.
    Empty:     None: the common fit loop alone decides.
    Raises:    an exception from a member makes that node `Broken` for this decision; the other nodes are judged.
    Since:     0.1
    """


@hookspec
def hami_policies() -> Iterable[Policy]:
    """Declare named node or device policies, usable from the pod annotations and the configuration.

    Caller:    every process role, once at load.
    May touch: nothing.
    Empty:     no policies from this plugin.
    Raises:    the plugin is reported as broken and left out. Two policies of one name and kind are a start-up error.
    Since:     0.1
    """
    return ()


@hookspec
def hami_place(family: Family) -> PlacementWriter | None:
    """Return what a bind writes on the pod beside the standard annotations.

    Caller:    the registry, once a family at load; the result runs once per bind.
    May touch: nothing; the time is an argument.
    Empty:     None: only the allocated and to-allocate annotations of the family are written.
    Raises:    the bind fails with an event; nothing is written.
    Since:     0.1
    """


@hookspec
def hami_partition(vendor: str) -> PartitionTool | None:
    """Return the function that makes and removes this vendor's hardware partitions.

    Caller:    the node agent, in a child process with a deadline, before a container with partitions starts and when
               its pod is gone.
    May touch: the vendor's management library. The returned function must be importable in a fresh interpreter.
    Empty:     None: partitions of this vendor are made by others; a container that was given one is refused here.
    Raises:    the container is refused with the message, and kubelet tries again; what was made is removed.
    Since:     0.1
    """


@hookspec
def hami_allocate(family: Family) -> Allocator | None:
    """Return how shares become environment, mounts and device nodes of a container.

    Caller:    the registry, once a family at load; the result runs once per container start, also in `hami run`.
    May touch: nothing: the caller creates the files that the edits name.
    Empty:     None: this vendor's own device plugin does the allocating.
    Raises:    the allocation is refused with the message; nothing is handed out.
    Since:     0.1
    """


@hookspec
def hami_decided(pod: str, node: str | None, reason: str) -> None:
    """Observe a decision: the pod's key, the chosen node or None, and the tally text.

    Caller:    hosts, after each decision, outside any lock.
    May touch: whatever an observer needs, briefly.
    Empty:     observers return nothing.
    Raises:    logged and ignored.
    Since:     0.1
    """
