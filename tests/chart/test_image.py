"""What the Dockerfile must keep, beyond what hadolint looks at in `make check`."""

from __future__ import annotations

import re
from pathlib import Path

DOCKERFILE = Path(__file__).parents[2] / "Dockerfile"


def _stages() -> list[list[str]]:
    """The instructions of each stage, the first its FROM."""
    lines = re.sub(r"\\\n", " ", DOCKERFILE.read_text()).splitlines()
    instructions = [line for line in lines if line and not line.startswith("#")]
    starts = [number for number, line in enumerate(instructions) if line.startswith("FROM ")]
    return [instructions[a:b] for a, b in zip(starts, [*starts[1:], None], strict=True)]


def test_the_image_that_is_shipped_has_no_compiler_and_installs_nothing() -> None:
    build, shipped = _stages()
    assert any("gcc" in line for line in build)
    assert not [line for line in shipped if line.startswith("RUN ")]


def test_it_runs_as_the_user_that_the_chart_names_and_not_as_root() -> None:
    users = [line for line in _stages()[-1] if line.startswith("USER ")]
    assert users == ["USER 65532:65532"]


def test_its_base_is_a_named_version_for_every_architecture() -> None:
    text = DOCKERFILE.read_text()
    (base,) = re.findall(r"^ARG PYTHON=(\S+)$", text, re.MULTILINE)
    assert re.fullmatch(r"3\.\d+-slim-[a-z]+", base)
    assert {stage[0].split()[1] for stage in _stages()} == {"python:${PYTHON}"}
    assert not re.search(r"--platform|amd64\.|x86_64", text.replace("For amd64 and arm64 alike", ""))
