"""The probes of plugins in processes of their own: each is an attribute, by the plugin's name; see `children`."""

from __future__ import annotations

from hami_core.remote.children import RemoteProbe


def __getattr__(name: str) -> RemoteProbe:
    if name.startswith("_"):
        raise AttributeError(name)
    return RemoteProbe(name)
