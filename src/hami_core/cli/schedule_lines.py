"""`hami schedule --jsonl`: one question a line, one answer a line, for as long as somebody asks."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from hami_core.errors import BadWire, HamiError
from hami_core.whatif import decide

if TYPE_CHECKING:
    from hami_core.registry import Registry

BAD_LINE = 2


def answer_lines(registry: Registry) -> int:
    """Answer every line of stdin; a bad one gets ``{"error": ...}``, and exit code 2 once all are answered."""
    code = 0
    out = sys.stdout.buffer
    for number, line in enumerate(sys.stdin.buffer, start=1):
        if not line.strip():
            continue
        try:
            answer = _answer(line, registry)
        except Exception as err:  # noqa: BLE001 - a fault in one answer must not end the conversation
            text = str(err) if isinstance(err, HamiError) else f"internal error: {type(err).__name__}: {err}"
            answer = {"error": text, "line": number}
            code = BAD_LINE
        out.write(msgspec.json.encode(answer) + b"\n")
        out.flush()  # the one who asks waits for the answer before asking on
    return code


def _answer(line: bytes, registry: Registry) -> dict[str, Any]:
    try:
        question = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as err:
        raise BadWire(what="question", problem=f"is not JSON: {err}") from err
    if not isinstance(question, Mapping) or not {"objects", "pod"} <= question.keys():
        raise BadWire(what="question", problem='expected {"objects": [...], "pod": {...}}')
    if not isinstance(question["pod"], Mapping):
        raise BadWire(what="question", problem="pod must be an object")
    return decide(question["objects"], question["pod"], registry=registry).to_dict()
