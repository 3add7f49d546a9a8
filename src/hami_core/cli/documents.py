"""Reading the objects that people have: JSON or YAML, one document or many, a file or stdin."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hami_core.errors import BadConfig

STDIN = "-"


def read_documents(source: str) -> list[Any]:
    """All documents of a file, or of stdin for ``-``: concatenated JSON, or YAML separated by ``---``.

    Raises:
        BadConfig: it cannot be read, or is neither; says the line.
    """
    name = "stdin" if source == STDIN else source
    try:
        raw = sys.stdin.buffer.read() if source == STDIN else Path(source).read_bytes()
        text = raw.decode("utf-8-sig")
    except OSError as err:
        raise BadConfig(file=name, problem=f"cannot be read: {err.strerror}") from err
    except UnicodeDecodeError as err:
        raise BadConfig(file=name, problem="is not text in UTF-8") from err
    if not text.strip():
        raise BadConfig(file=name, problem="is empty; expected JSON or YAML, as kubectl get ... -o json prints it")
    try:
        documents = list(_json(text)) if text.lstrip()[0] in "{[" else _yaml(text, name)
    except json.JSONDecodeError as err:
        # YAML in flow style begins like JSON; what is neither is most likely JSON with a mistake in it.
        try:
            documents = _yaml(text, name)
        except BadConfig:
            place = f"line {err.lineno}, column {err.colno}"
            raise BadConfig(file=name, place=place, problem=f"is not JSON: {err.msg}") from err
    except RecursionError as err:
        raise BadConfig(file=name, problem="is nested too deeply") from err
    for document in documents:
        if not isinstance(document, dict | list):
            kind = type(document).__name__
            raise BadConfig(file=name, problem=f"is not JSON or YAML with Kubernetes objects: it holds a bare {kind}")
    return documents


def _json(text: str) -> Iterator[Any]:
    decoder = json.JSONDecoder()
    position, end = 0, len(text)
    while position < end:
        while position < end and text[position].isspace():
            position += 1
        if position < end:
            document, position = decoder.raw_decode(text, position)
            yield document


def _yaml(text: str, name: str) -> list[Any]:
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C parser is some ten times faster
    try:
        return [document for document in yaml.load_all(text, Loader=loader) if document is not None]
    except yaml.MarkedYAMLError as err:
        mark = err.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else None
        raise BadConfig(file=name, place=place, problem=f"is not JSON or YAML: {err.problem or err.context}") from err
    except (yaml.YAMLError, ValueError) as err:  # ValueError: a date that no calendar has
        raise BadConfig(file=name, problem=f"is not JSON or YAML: {' '.join(str(err).split())}") from err
