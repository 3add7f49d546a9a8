"""Whatever people pipe in is read, or refused in one line that says where it went wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hami_core.cli.documents import read_documents
from hami_core.errors import BadConfig

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=4)


def write(folder: Path, content: str | bytes) -> str:
    file = folder / "cluster"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(file)


@given(documents=st.lists(OBJECTS, min_size=1, max_size=3), indent=st.sampled_from([None, 2]))
def test_json_documents_one_after_the_other_are_all_read(
    tmp_path_factory: pytest.TempPathFactory, documents: list[object], indent: int | None
) -> None:
    text = "\n".join(json.dumps(document, indent=indent) for document in documents)
    assert documents == read_documents(write(tmp_path_factory.mktemp("json"), text))


@pytest.mark.parametrize(
    ("text", "documents"),
    [
        pytest.param("kind: Pod\n---\nkind: Node\n", [{"kind": "Pod"}, {"kind": "Node"}], id="yaml documents"),
        pytest.param("---\nkind: Pod\n---\n", [{"kind": "Pod"}], id="empty yaml documents"),
        pytest.param("{kind: Pod, n: 1}", [{"kind": "Pod", "n": 1}], id="yaml that begins like json"),
        pytest.param("- kind: Pod\n", [[{"kind": "Pod"}]], id="a yaml list"),
        pytest.param('\ufeff{"kind": "Pod"}', [{"kind": "Pod"}], id="a byte order mark"),
    ],
)
def test_yaml_is_read_too(tmp_path: Path, text: str, documents: list[object]) -> None:
    assert documents == read_documents(write(tmp_path, text))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("", "is empty; expected JSON or YAML", id="empty"),
        pytest.param('{"items": [1, 2', r"line 1, column 16: is not JSON: Expecting ',' delimiter", id="cut off"),
        pytest.param('{"a": 1}\n{"b": }', "line 2, column 7: is not JSON: Expecting value", id="second document"),
        pytest.param("a: b: c\n", "line 1, column 5: is not JSON or YAML: mapping values", id="bad yaml"),
        pytest.param("\x7fELF\x01", "is not JSON or YAML: unacceptable character", id="a program"),
        pytest.param(b"\xff\xfe\x00", "is not text in UTF-8", id="not utf-8"),
        pytest.param("No resources found\n", "it holds a bare str", id="what kubectl prints when there is nothing"),
        pytest.param('{"a":' * 100_000, "is nested too deeply", id="nested"),
        pytest.param("when: 2024-13-45\n", "is not JSON or YAML: month must be in 1..12", id="no such date"),
    ],
)
def test_what_is_neither_is_refused_with_the_place(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(BadConfig, match=message) as caught:
        read_documents(write(tmp_path, content))
    assert str(caught.value).startswith(str(tmp_path / "cluster"))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="cannot be read: No such file or directory"):
        read_documents(str(tmp_path / "none"))
    with pytest.raises(BadConfig, match="cannot be read: Is a directory"):
        read_documents(str(tmp_path))
