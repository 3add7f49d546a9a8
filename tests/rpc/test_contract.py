"""The contract: what is generated is what the proto says, and what is published stays."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, FileDescriptor

from hami_core.remote.plugin.v1 import plugin_pb2
from hami_core.rpc.fit.v1 import fit_pb2

ROOT = Path(__file__).parents[2]
GENERATED = {"fit": Path("hami_core/rpc/fit/v1"), "plugin": Path("hami_core/remote/plugin/v1")}
CONTRACTS = {"fit": fit_pb2.DESCRIPTOR, "plugin": plugin_pb2.DESCRIPTOR}
BARE_NUMBERS = {
    "index", "numa", "slots", "count", "cards", "total_cards", "start", "size", "slice_count", "sequence", "score",
    "slot", "core", "memory", "major", "minor", "cards_per_pod", "memory_factor", "cores_per_card", "default_cores",
    "default_count", "aicpu", "priority", "key",
}  # fmt: skip
TYPES = {number: name[5:].lower() for name, number in vars(FieldDescriptor).items() if name.startswith("TYPE_")}
NUMBERS = ("int32", "int64", "double")
# AIP-141 keeps unsigned numbers out, because some languages have none.
PORTABLE = {*NUMBERS, "bool", "bytes", "enum", "message", "string"}


def messages(contract: FileDescriptor) -> Iterator[Descriptor]:
    for message in contract.message_types_by_name.values():
        yield message
        yield from (nested for nested in message.nested_types if not nested.GetOptions().map_entry)


def enums(contract: FileDescriptor) -> Iterator[EnumDescriptor]:
    yield from contract.enum_types_by_name.values()
    for message in messages(contract):
        yield from message.enum_types


def facts(contract: FileDescriptor) -> list[str]:
    """One line for each thing a client may rely on."""
    lines = []
    for service in contract.services_by_name.values():
        for method in service.methods:
            stream = "stream " if method.server_streaming else ""
            lines.append(f"{method.full_name}({method.input_type.full_name}) -> {stream}{method.output_type.full_name}")
    for message in messages(contract):
        for field in message.fields:
            kind = field.message_type or field.enum_type
            label = "repeated " if field.is_repeated else "optional " if field.has_presence else ""
            lines.append(f"{field.full_name} = {field.number}: {label}{kind.full_name if kind else TYPES[field.type]}")
    for enum in enums(contract):
        lines.extend(f"{enum.full_name}.{value.name} = {value.number}" for value in enum.values)
    return sorted(lines)


def test_the_committed_python_code_and_stubs_are_what_the_proto_generates(tmp_path: Path) -> None:
    uv = shutil.which("uv") or str(ROOT / ".boot" / "bin" / "uv")
    command = [uv, "run", "--quiet", "--script", str(ROOT / "proto" / "generate.py"), "--python-out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    for package, folder in GENERATED.items():
        made = sorted(path.name for path in (tmp_path / folder).iterdir())
        assert made == [f"{package}_pb2{rest}" for rest in (".py", ".pyi", "_grpc.py", "_grpc.pyi")]
        for name in made:
            committed = (ROOT / "src" / folder / name).read_text()
            assert committed == (tmp_path / folder / name).read_text(), f"{name} is stale; run make proto"


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_contract_only_grows(name: str) -> None:
    list_of_facts = Path(__file__).parent / "golden" / f"{name}_v1.txt"
    published = list_of_facts.read_text().splitlines()
    now = facts(CONTRACTS[name])
    gone = sorted(set(published) - set(now))
    assert not gone, "clients rely on these"
    unlisted = sorted(set(now) - set(published))
    assert not unlisted, f"new in the contract; add them to {list_of_facts.name}"


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
def test_every_number_says_its_unit_in_its_name_or_is_a_count_or_a_position(contract: FileDescriptor) -> None:
    units = ("_mib", "_s", "_percent", "_units")
    fields = [field for message in messages(contract) for field in message.fields if TYPES[field.type] in NUMBERS]
    unclear = [field.full_name for field in fields if field.name not in BARE_NUMBERS and not field.name.endswith(units)]
    assert unclear == []


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
def test_only_types_that_every_language_has_are_used(contract: FileDescriptor) -> None:
    fields = [field for message in messages(contract) for field in message.fields]
    assert {TYPES[field.type] for field in fields} <= PORTABLE


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
def test_every_enum_starts_with_an_unspecified_value_and_prefixes_the_others(contract: FileDescriptor) -> None:
    for enum in enums(contract):
        first, *others = enum.values
        assert first.number == 0
        prefix = first.name.removesuffix("UNSPECIFIED")
        assert prefix != first.name
        assert all(value.name.startswith(prefix) for value in others), enum.full_name
