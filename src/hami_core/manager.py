"""Loading plugins: entry points in, a checked pluggy manager out.

Built-in vendors come through the same door as third parties: the entry-point group ``hami``. A plugin that cannot be
imported is reported and left out; a hook that is misspelt or has the wrong arguments stops the start, because a hook
that silently never runs is worse than a process that does not come up.

Environment: ``HAMI_PLUGINS=a,b`` pins which vendor and policy plugins load (entry-point names; the core's own policies
always load), ``HAMI_TRACE_HOOKS=1`` prints every hook call and its answer to stderr. ``HAMI_PLUGIN_SOCKETS`` and
``HAMI_PLUGIN_TABLES`` are where plugins in processes of their own are found, see `hami_core.remote`.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from typing import Any

import attrs
import pluggy

from hami_core import hookspecs
from hami_core.errors import PluginFault, UnknownName
from hami_core.hook_api import mismatch, warn_of_retiring
from hami_core.remote.places import Place, places

GROUP = "hami"
BUILTIN = "hami-policies"


@attrs.frozen(kw_only=True)
class Source:
    """Where a plugin comes from: its name, the distribution and version that carry it."""

    name: str
    distribution: str = ""
    version: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.distribution} {self.version})" if self.distribution else self.name


@attrs.frozen(kw_only=True)
class Plugin:
    """A plugin that loaded (`module` set) or did not (`problem` says why); `outside`: in a process of its own."""

    source: Source
    module: object | None = None
    problem: str = ""
    outside: bool = False


@attrs.frozen(kw_only=True)
class PluginManager:
    """The loaded plugins, and calls to one plugin at a time, so that a fault has an owner."""

    pm: pluggy.PluginManager
    plugins: tuple[Plugin, ...]

    def hooks_of(self, plugin: Plugin) -> tuple[str, ...]:
        """Names of the hooks `plugin` implements, in the order a pod meets them."""
        if plugin.module is None:
            return ()
        mine = {caller.name for caller in self.pm.get_hookcallers(plugin.module) or []}
        return tuple(name for name in vars(hookspecs) if name in mine)

    def ask(self, plugin: Plugin, hook: str, **arguments: Any) -> Any | None:
        """Call one hook of one plugin. None when the plugin does not implement it or answers None."""
        others = [other.module for other in self.plugins if other.module is not None and other is not plugin]
        answers = self.pm.subset_hook_caller(hook, others)(**arguments)
        return answers[0] if answers else None


def load_plugins(extra: Sequence[object] | None = None, environ: Mapping[str, str] | None = None) -> PluginManager:
    """Load the plugins of this installation, or exactly `extra` (modules or objects) when given.

    Raises:
        PluginFault: a hook is misspelt or has arguments the specification does not.
        UnknownName: ``HAMI_PLUGINS`` names a plugin that is not installed.
    """
    environ = os.environ if environ is None else environ
    pm = pluggy.PluginManager(hookspecs.PROJECT)
    pm.add_hookspecs(hookspecs)
    if environ.get("HAMI_TRACE_HOOKS", "") not in ("", "0"):
        pm.trace.root.setwriter(sys.stderr.write)
        pm.enable_tracing()
    if extra is None:
        outside, pinned = places(environ), _pinned(environ)
        entries = _entry_points(pinned, outside=[place.name for place in outside])
        found = [_import(entry) for entry in entries]
        found += _outside([place for place in outside if pinned is None or place.name in pinned], found)
    else:
        found = [Plugin(source=Source(name=_object_name(item)), module=item) for item in extra]
    found = [_fitting(plugin) for plugin in found]
    for plugin in found:
        if plugin.module is not None:
            _register(pm, plugin)
    loaded = PluginManager(pm=pm, plugins=tuple(found))
    for plugin in found:
        warn_of_retiring(str(plugin.source), loaded.hooks_of(plugin))
    return loaded


def _pinned(environ: Mapping[str, str]) -> frozenset[str] | None:
    text = environ.get("HAMI_PLUGINS")
    if text is None:
        return None
    return frozenset(name.strip() for name in text.split(",") if name.strip())


def _entry_points(pinned: frozenset[str] | None, *, outside: Iterable[str] = ()) -> list[metadata.EntryPoint]:
    # One distribution can show up twice on sys.path (an editable install beside a wheel); its plugin loads once.
    unique = {(entry.name, entry.value): entry for entry in metadata.entry_points(group=GROUP)}
    entries = sorted(unique.values(), key=lambda entry: (entry.name != BUILTIN, entry.name))
    if pinned is None:
        return entries
    known = {*(entry.name for entry in entries), *outside}
    for name in sorted(pinned - known):
        raise UnknownName(kind="plugin (HAMI_PLUGINS)", name=name, known=tuple(sorted(known)))
    return [entry for entry in entries if entry.name in pinned or entry.name == BUILTIN]


def _import(entry: metadata.EntryPoint) -> Plugin:
    dist = entry.dist
    source = Source(name=entry.name, distribution=dist.name if dist else "", version=dist.version if dist else "")
    try:
        return Plugin(source=source, module=entry.load())
    except Exception as err:  # noqa: BLE001 - whatever a plugin raises at import must not take the others down
        return Plugin(source=source, problem=f"cannot be loaded: {type(err).__name__}: {err}")


def _outside(wanted: Sequence[Place], installed: Iterable[Plugin]) -> list[Plugin]:
    """The plugins in processes of their own; one with the name of an installed plugin is left out."""
    if not wanted:
        return []
    from hami_core.remote.bridge import remote_plugins  # noqa: PLC0415 - few have any, and gRPC takes a while to load

    taken = {plugin.source.name: plugin.source for plugin in installed}
    made = []
    for found in remote_plugins(wanted):
        version = "" if found.plugin is None else found.plugin.described.version
        source = Source(name=found.place.name, distribution=str(found.place), version=version)
        owner = taken.get(source.name)
        if owner is None:
            made.append(Plugin(source=source, module=found.plugin, problem=found.problem, outside=True))
        else:
            problem = f"has the name of an installed plugin, {owner}; rename {found.place}, or uninstall that"
            made.append(
                Plugin(source=attrs.evolve(source, name=f"{source.name} (outside)"), problem=problem, outside=True)
            )
    return made


def _fitting(plugin: Plugin) -> Plugin:
    """The plugin, or what is wrong with it where it is made for other versions of the hooks."""
    problem = mismatch(plugin.module)
    return attrs.evolve(plugin, module=None, problem=problem) if problem else plugin


def _register(pm: pluggy.PluginManager, plugin: Plugin) -> None:
    _check_names(plugin)
    try:
        pm.register(plugin.module, name=plugin.source.name)
    except pluggy.PluginValidationError as err:
        raise PluginFault(plugin=str(plugin.source), problem=" ".join(str(err).split())) from err
    except ValueError as err:
        raise PluginFault(plugin=str(plugin.source), problem=f"registered twice: {err}") from err


def _check_names(plugin: Plugin) -> None:
    """Refuse marked functions that no specification knows; pluggy's own check names no distribution."""
    specs = _specs()
    for name in dir(plugin.module):
        marked = getattr(getattr(plugin.module, name, None), f"{hookspecs.PROJECT}_impl", None)
        if marked is None or (marked.get("specname") or name) in specs:
            continue
        close = difflib.get_close_matches(name, specs, n=1)
        hint = f"; did you mean {close[0]}?" if close else f"; hooks are: {', '.join(specs)}"
        raise PluginFault(plugin=str(plugin.source), problem=f"there is no hook {name}{hint}")


def _specs() -> tuple[str, ...]:
    return tuple(name for name, value in vars(hookspecs).items() if hasattr(value, f"{hookspecs.PROJECT}_spec"))


def _object_name(item: object) -> str:
    return getattr(item, "__name__", None) or type(item).__name__


def distributions(plugins: Iterable[Plugin]) -> tuple[str, ...]:
    """Distributions behind `plugins` as ``name version``, sorted, each once; for ``--version``."""
    return tuple(sorted({f"{p.source.distribution} {p.source.version}" for p in plugins if p.source.distribution}))
