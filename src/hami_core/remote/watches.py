"""The watches of plugins in processes of their own: each is an attribute, by the plugin's name; see `children`."""

from __future__ import annotations

from hami_core.remote.children import RemoteWatch


def __getattr__(name: str) -> RemoteWatch:
    if name.startswith("_"):
        raise AttributeError(name)
    return RemoteWatch(name)
