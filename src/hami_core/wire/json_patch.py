"""JSON Patch (RFC 6902): the difference between a pod as sent and as admitted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeGuard

Operation = Mapping[str, Any]


def diff(before: object, after: object, path: str = "") -> tuple[Operation, ...]:
    """Operations that turn `before` into `after`, in the order of their paths.

    Lists are compared place by place and grow or shrink at their end: admission only ever appends.
    """
    return tuple(_diff(before, after, path))


def _diff(before: object, after: object, path: str) -> Iterator[Operation]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            at = f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
            if key not in after:
                yield {"op": "remove", "path": at}
            elif key not in before:
                yield {"op": "add", "path": at, "value": after[key]}
            else:
                yield from _diff(before[key], after[key], at)
    elif _is_list(before) and _is_list(after):
        for index, (old, new) in enumerate(zip(before, after, strict=False)):
            yield from _diff(old, new, f"{path}/{index}")
        for index in range(len(before), len(after)):
            yield {"op": "add", "path": f"{path}/{index}", "value": after[index]}
        for index in reversed(range(len(after), len(before))):
            yield {"op": "remove", "path": f"{path}/{index}"}
    elif before != after or type(before) is not type(after):
        yield {"op": "replace", "path": path, "value": after}


def _is_list(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)
