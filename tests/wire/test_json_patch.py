"""JSON Patch: applied to the old object, it gives the new one."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hami_core.wire.json_patch import diff

json_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab~/1", max_size=3), inner, max_size=3),
    max_leaves=10,
)


def applied(document: Any, operations: Any) -> Any:
    """RFC 6902 for the operations that `diff` makes: a second reading of the standard."""
    root = {"": document}
    for operation in operations:
        steps = [step.replace("~1", "/").replace("~0", "~") for step in operation["path"].split("/")]
        target: Any = root
        for step in steps[:-1]:
            target = target[int(step)] if isinstance(target, list) else target[step]
        last = steps[-1]
        if isinstance(target, list):
            if operation["op"] == "add":
                target.insert(int(last), operation["value"])
            elif operation["op"] == "remove":
                del target[int(last)]
            else:
                target[int(last)] = operation["value"]
        elif operation["op"] == "remove":
            del target[last]
        else:
            assert (last in target) == (operation["op"] == "replace")
            target[last] = operation["value"]
    return root[""]


def copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: copied(entry) for key, entry in value.items()}
    return [copied(entry) for entry in value] if isinstance(value, list) else value


@given(json_data, json_data)
def test_the_difference_turns_the_one_into_the_other(before: Any, after: Any) -> None:
    result = applied(copied(before), copied(list(diff(before, after))))
    assert result == after
    assert diff(result, after) == ()


@given(json_data)
def test_equal_documents_differ_in_nothing(document: Any) -> None:
    assert diff(document, copied(document)) == ()


def test_names_with_slashes_and_tildes_are_escaped() -> None:
    operations = diff({"limits": {}}, {"limits": {"nvidia.com/gpu": "1", "a~b": "2"}})
    assert [operation["path"] for operation in operations] == ["/limits/a~0b", "/limits/nvidia.com~1gpu"]


def test_what_was_appended_to_a_list_is_added_at_its_end() -> None:
    assert diff({"env": [1]}, {"env": [1, 2]}) == ({"op": "add", "path": "/env/1", "value": 2},)
