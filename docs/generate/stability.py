"""What plugins can rely on: the promise, and what changed in each hook."""

from __future__ import annotations

from hami_core.hook_api import API_VERSION, ATTRIBUTE, CHANGES, RETIRING

_HEAD = f"""# What stays as it is

A plugin that loads today loads tomorrow, or says at the start why not. This page is the promise behind that.

## Versions

| What | Version | Its first number changes | Its second number changes |
|---|---|---|---|
| hooks | {API_VERSION} | when a hook loses or changes something that plugins rely on | when something is added |
| `proto/hami/plugin/v1`, `proto/hami/fit/v1` | in the path | with a new path, `v2` | when fields are added |
| C core for interposers (HamiCore) | 0.1 | when a library must be compiled anew | when something is added |

A module says which versions of the hooks it is made for; leave it out and you make no statement:

```python
{ATTRIBUTE} = ">=1,<2"
```

It is checked when the plugin is loaded. One that does not fit is left out with the reason, in `hami plugins` and in the
log, and the others go on:

```text
is made for hook API >=2, and this is {API_VERSION}; install a version of it that fits
```

Only what [the guide lists](write-a-vendor.md#what-you-may-import) is public. Files in `typing_tests/` use it as
authors of plugins do and are type-checked with every change.

## How something goes away

1. In one minor version it still works. Whoever implements it gets a `DeprecationWarning` that names the plugin, the
   hook, the version in which it goes and what to use instead; this page lists it.
2. In a later version, whose first number is another one, it is gone.

Names and forms that others read (annotations, metrics, `device-config.yaml`) are HAMi 2.10's;
see [parity](../parity.md).
"""


def page() -> str:
    """The page."""
    return _HEAD + _retiring() + _changes()


def _retiring() -> str:
    if not RETIRING:
        return "\nNo hook is on its way out.\n"
    rows = "".join(
        f"| [`{name}`](../hooks/{name}.md) | {going.since} | {going.gone} | {going.instead} |\n"
        for name, going in RETIRING.items()
    )
    return f"\n| Hook | Warned of since | Gone in | Instead |\n|---|---|---|---|\n{rows}"


def _changes() -> str:
    rows = "".join(
        f"| {version} | [`{name}`](../hooks/{name}.md) | {text} |\n"
        for name, versions in CHANGES.items()
        for version, text in versions.items()
    )
    return f"\n## Changes, by hook\n\n| Hook API | Hook | Change |\n|---|---|---|\n{rows}"
