"""The promise to plugins: the version of the hooks, what changed when, and what goes away.

A plugin says which versions it is made for in a module attribute, in the form of Python's version specifiers::

    HAMI_API = ">=1,<2"

The first number changes when a hook loses or changes something that plugins rely on, the second when one gains
something. A hook that goes away is announced in `RETIRING` one minor version before; whoever implements it is warned.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping

import attrs
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

API_VERSION = "1.1"
"""The version of the hooks that this installation calls."""

ATTRIBUTE = "HAMI_API"
"""Where a plugin's module says which versions it is made for."""


@attrs.frozen(kw_only=True)
class Retirement:
    """A hook that goes away: warned of from `since`, not called any more from `gone`."""

    since: str
    gone: str
    instead: str


RETIRING: Mapping[str, Retirement] = {}

CHANGES: Mapping[str, Mapping[str, str]] = {
    "hami_families": {"1.0": "First version."},
    "hami_machines": {"1.0": "First version."},
    "hami_probe": {"1.0": "First version."},
    "hami_watch": {"1.1": "First version."},
    "hami_node_codec": {"1.0": "First version."},
    "hami_admit": {"1.0": "First version."},
    "hami_request": {"1.0": "First version."},
    "hami_fit": {"1.0": "First version."},
    "hami_policies": {"1.0": "First version."},
    "hami_place": {"1.0": "First version."},
    "hami_partition": {"1.1": "First version."},
    "hami_allocate": {"1.0": "First version."},
    "hami_decided": {"1.0": "First version."},
}
"""What changed in each hook, by API version."""


def mismatch(module: object) -> str:
    """Why a plugin cannot be used with this API version; empty where it can, and where it makes no statement."""
    wanted = getattr(module, ATTRIBUTE, None)
    if wanted is None:
        return ""
    try:
        fits = Version(API_VERSION) in SpecifierSet(wanted)
    except (InvalidSpecifier, TypeError, AttributeError):
        return f'{ATTRIBUTE} must be a version specifier such as ">=1,<2"; got {wanted!r}'
    if fits:
        return ""
    return f"is made for hook API {wanted}, and this is {API_VERSION}; install a version of it that fits"


def warn_of_retiring(plugin: str, hooks: Iterable[str]) -> None:
    """Warn whoever implements a hook that goes away."""
    for name in hooks:
        retirement = RETIRING.get(name)
        if retirement is not None:
            text = f"plugin {plugin} implements {name}, which goes away in hook API {retirement.gone}"
            warnings.warn(f"{text}; use {retirement.instead}", DeprecationWarning, stacklevel=2)
