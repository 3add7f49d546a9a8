"""The contract: what is generated is what the proto says, and what is published stays."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from hami_core.rpc.fit.v1 import fit_pb2

ROOT = Path(__file__).parents[2]
GENERATED = Path("hami_core/rpc/fit/v1")
PUBLISHED = Path(__file__).parent / "golden" / "fit_v1.txt"
BARE_NUMBERS = {
    "index", "numa", "slots", "count", "cards", "total_cards", "start", "size", "slice_count", "sequence", "score",
    "slot", "core", "memory",
}  # fmt: skip
TYPES = {number: name[5:].lower() for name, number in vars(FieldDescriptor).items() if name.startswith("TYPE_")}
NUMBERS = ("int32", "int64", "double")
# AIP-141 keeps unsigned numbers out, because some languages have none.
PORTABLE = {*NUMBERS, "bool", "bytes", "enum", "message", "string"}


def messages() -> Iterator[Descriptor]:
    for message in fit_pb2.DESCRIPTOR.message_types_by_name.values():
        yield message
        yield from (nested for nested in message.nested_types if not nested.GetOptions().map_entry)


def enums() -> Iterator[EnumDescriptor]:
    yield from fit_pb2.DESCRIPTOR.enum_types_by_name.values()
    for message in messages():
        yield from message.enum_types


def facts() -> list[str]:
    """One line for each thing a client may rely on."""
    lines = []
    for service in fit_pb2.DESCRIPTOR.services_by_name.values():
        for method in service.methods:
            stream = "stream " if method.server_streaming else ""
            lines.append(f"{method.full_name}({method.input_type.full_name}) -> {stream}{method.output_type.full_name}")
    for message in messages():
        for field in message.fields:
            kind = field.message_type or field.enum_type
            label = "repeated " if field.is_repeated else "optional " if field.has_presence else ""
            lines.append(f"{field.full_name} = {field.number}: {label}{kind.full_name if kind else TYPES[field.type]}")
    for enum in enums():
        lines.extend(f"{enum.full_name}.{value.name} = {value.number}" for value in enum.values)
    return sorted(lines)


def test_the_committed_python_code_and_stubs_are_what_the_proto_generates(tmp_path: Path) -> None:
    uv = shutil.which("uv") or str(ROOT / ".boot" / "bin" / "uv")
    command = [uv, "run", "--quiet", "--script", str(ROOT / "proto" / "generate.py"), "--python-out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    made = sorted(path.name for path in (tmp_path / GENERATED).iterdir())
    assert made == ["fit_pb2.py", "fit_pb2.pyi", "fit_pb2_grpc.py", "fit_pb2_grpc.pyi"]
    for name in made:
        committed = (ROOT / "src" / GENERATED / name).read_text()
        assert committed == (tmp_path / GENERATED / name).read_text(), f"{name} is stale; run make proto"


def test_the_contract_only_grows() -> None:
    published = PUBLISHED.read_text().splitlines()
    now = facts()
    gone = sorted(set(published) - set(now))
    assert not gone, "clients rely on these"
    unlisted = sorted(set(now) - set(published))
    assert not unlisted, f"new in the contract; add them to {PUBLISHED.name}"


def test_every_number_says_its_unit_in_its_name_or_is_a_count_or_a_position() -> None:
    units = ("_mib", "_s", "_percent", "_units")
    fields = [field for message in messages() for field in message.fields if TYPES[field.type] in NUMBERS]
    unclear = [field.full_name for field in fields if field.name not in BARE_NUMBERS and not field.name.endswith(units)]
    assert unclear == []


def test_only_types_that_every_language_has_are_used() -> None:
    fields = [field for message in messages() for field in message.fields]
    assert {TYPES[field.type] for field in fields} <= PORTABLE


def test_every_enum_starts_with_an_unspecified_value_and_prefixes_the_others() -> None:
    for enum in enums():
        first, *others = enum.values
        assert first.number == 0
        prefix = first.name.removesuffix("UNSPECIFIED")
        assert prefix != first.name
        assert all(value.name.startswith(prefix) for value in others), enum.full_name
