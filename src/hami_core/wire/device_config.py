"""HAMi's ``device-config.yaml``: one section a vendor, kept raw until the vendor's plugin gives it a type.

A section's type is a frozen `msgspec.Struct` that forbids unknown fields, with HAMi's camel-case names:

    class NvidiaConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
        resource_count_name: str = "nvidia.com/gpu"

    config.section("nvidia", NvidiaConfig)

Sections that no plugin asks for are left alone: a file may name vendors that are not installed here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, TypeVar

import attrs
import msgspec
import yaml

from hami_core.errors import BadConfig, shown
from hami_core.family import Resources

Name = Annotated[str, msgspec.Meta(min_length=1)]
"""A setting that must not be left empty, such as the name of a resource."""
Count = Annotated[int, msgspec.Meta(ge=0)]
"""A setting that counts something, in its own unit."""
Positive = Annotated[int, msgspec.Meta(ge=1)]
"""A setting that counts something there is at least one of."""


class ResourceNames(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The settings that name a vendor's resources, as most sections have them; a section restates those it defaults."""

    resource_count_name: Name
    resource_memory_name: Name
    resource_core_name: Name

    @property
    def resources(self) -> Resources:
        """As families declare them."""
        return Resources(
            count=self.resource_count_name, memory=self.resource_memory_name, cores=self.resource_core_name
        )


T = TypeVar("T")
Path_ = tuple[str | int, ...]

# The C parser is some ten times faster; the Python one serves where libyaml is missing.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_AT = re.compile(r" - at `\$(?P<path>[^`]*)`$")
_STEP = re.compile(r"\.(?P<name>[^.\[]+)|\[(?P<index>\d+)\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>[^`]*)`")
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@attrs.frozen(kw_only=True)
class ConfigSections:
    """The parsed file: raw sections by name, and the line of every key for messages."""

    file: str
    sections: Mapping[str, Any] = attrs.field(default=_NOTHING, hash=False)
    lines: Mapping[Path_, int] = attrs.field(default=_NOTHING, hash=False, repr=False)

    @classmethod
    def empty(cls) -> ConfigSections:
        """No file: every vendor uses its built-in defaults."""
        return cls(file="built-in defaults")

    @classmethod
    def load(cls, path: Path) -> ConfigSections:
        """Read a file.

        Raises:
            BadConfig: the file cannot be read or parsed.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as err:
            reason = err.strerror if isinstance(err, OSError) else "is not UTF-8 text"
            raise BadConfig(file=str(path), problem=f"cannot be read: {reason}") from err
        return cls.parse(text, file=str(path))

    @classmethod
    def parse(cls, text: str, *, file: str = "device-config.yaml") -> ConfigSections:
        """Parse the text of a file; `file` is its name in messages.

        Raises:
            BadConfig: not YAML, not a mapping of sections, without any section, or with one key twice.
        """
        try:
            loader = _Loader(text)
            root = loader.get_single_node()
            lines = {} if root is None else dict(_lines(root, (), file, set()))
            data = None if root is None else loader.construct_document(root)
        except yaml.MarkedYAMLError as err:
            place = f"line {err.problem_mark.line + 1}" if err.problem_mark else None
            raise BadConfig(file=file, place=place, problem=f"is not YAML: {err.problem}") from err
        except (yaml.YAMLError, ValueError, RecursionError) as err:
            raise BadConfig(file=file, problem=f"is not YAML: {' '.join(str(err).split())}") from err
        if not isinstance(data, Mapping) or not data:
            problem = f"must map vendor sections such as nvidia: to their settings; got {shown(data)}"
            raise BadConfig(file=file, problem=problem)
        return cls(file=file, sections={str(name): value for name, value in data.items()}, lines=lines)

    def section(self, name: str, kind: type[T]) -> T:
        """The section `name` as a `kind`; an absent or empty section is the kind's defaults.

        Raises:
            BadConfig: an unknown key, a value of the wrong type or out of range; says the line.
        """
        raw = self.sections.get(name)
        return self._convert({} if raw is None else raw, kind, (name,))

    def entries(self, name: str, kind: type[T]) -> tuple[T, ...] | None:
        """The section `name` as a list of `kind` (``iluvatars``), or None where the file has no such section.

        Raises:
            BadConfig: as `section`.
        """
        raw = self.sections.get(name)
        if raw is None:
            return None
        if not isinstance(raw, list):
            raise self.bad((name,), f"must be a list of entries; got {shown(raw)}")
        return tuple(self._convert(entry, kind, (name, index)) for index, entry in enumerate(raw))

    def bad(self, path: Path_, problem: str) -> BadConfig:
        """A `BadConfig` for the key at `path`, for checks that a type cannot say."""
        line = next((self.lines[path[:depth]] for depth in range(len(path), 0, -1) if path[:depth] in self.lines), None)
        at = f"line {line}, " if line is not None else ""
        return BadConfig(file=self.file, place=at + _spelt(path), problem=problem)

    def _convert(self, raw: object, kind: type[T], root: Path_) -> T:
        if not isinstance(raw, Mapping):
            raise self.bad(root, f"must be a mapping of settings; got {shown(raw)}")
        try:
            return msgspec.convert(raw, kind)
        except msgspec.ValidationError as err:
            raise self._explained(str(err), kind, root) from err

    def _explained(self, text: str, kind: type, root: Path_) -> BadConfig:
        at = _AT.search(text)
        path = root + (tuple(_steps(at["path"])) if at else ())
        problem = text[: at.start()] if at else text
        unknown = _UNKNOWN.match(problem)
        if unknown is None:
            return self.bad(path, _plain(problem))
        known = sorted(_field_names(kind))
        close = difflib.get_close_matches(unknown["name"], known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
        return self.bad((*path, unknown["name"]), f"is not a setting; {hint}")


def _lines(node: yaml.Node, path: Path_, file: str, visited: set[int]) -> Iterator[tuple[Path_, int]]:
    # A node with many aliases is walked once, or a small file could ask for endless work.
    if id(node) in visited:
        return
    visited.add(id(node))
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            line = key.start_mark.line + 1
            if name in seen and key.tag != "tag:yaml.org,2002:merge":
                raise BadConfig(file=file, place=f"line {line}, {_spelt((*path, name))}", problem="is given twice")
            seen.add(name)
            yield (*path, name), line
            yield from _lines(value, (*path, name), file, visited)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield (*path, index), value.start_mark.line + 1
            yield from _lines(value, (*path, index), file, visited)


def _steps(text: str) -> Iterator[str | int]:
    for step in _STEP.finditer(text):
        yield step["name"] if step["name"] is not None else int(step["index"])


def _spelt(path: Path_) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def _plain(problem: str) -> str:
    """Put a message of msgspec in the manner of ours: ``must be int; got str``."""
    match = re.fullmatch(r"Expected (?P<wanted>.+?)(?:, got (?P<found>.+))?", problem)
    if match is None:
        return problem
    found = f"; got {match['found']}" if match["found"] else ""
    return f"must be {match['wanted']}{found}".replace("`", "")


def _field_names(kind: object) -> Iterator[str]:
    """Setting names of `kind` and of the structs inside it."""
    pending = [msgspec.inspect.type_info(kind)]
    while pending:
        info = pending.pop()
        if isinstance(info, msgspec.inspect.StructType):
            for field in info.fields:
                yield field.encode_name
                pending.append(field.type)
        else:
            for name in ("item_type", "value_type"):
                inner = getattr(info, name, None)
                if isinstance(inner, msgspec.inspect.Type):
                    pending.append(inner)
            pending.extend(getattr(info, "types", ()))
