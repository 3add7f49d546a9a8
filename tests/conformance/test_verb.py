"""`hami conformance`, as typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

HAMI = Path(sys.executable).with_name("hami")


def conformance(*arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, **({"PYTHONPATH": str(path)} if path else {})}
    command = [str(HAMI), "conformance", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, env=environ)


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A plugin whose default number of cores no card has."""
    (tmp_path / "hami_broken.py").write_text(
        """
from hami_core import hookimpl
from hami_core.family import Family, Resources, Units, WireNames

@hookimpl
def hami_families(config):
    wire = WireNames(register="broken.test/register", allocated="broken.test/allocated")
    names, units = Resources(count="broken.test/card"), Units(default_cores=101)
    return [Family(name="Broken", vendor="broken", resources=names, wire=wire, units=units)]
""",
        encoding="utf-8",
    )
    return tmp_path


def test_a_plugin_that_keeps_the_rules_ends_with_0_and_a_count() -> None:
    ended = conformance("dcu", "--group", "families")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[0].split() == ["GROUP", "RULE", "RESULT"]
    assert ended.stdout.splitlines()[-1].endswith("9 kept, 0 broken, 0 left out")


def test_a_broken_rule_ends_with_1_and_says_what_to_do(broken: Path) -> None:
    ended = conformance("hami_broken", "--group", "families", path=broken)
    assert ended.returncode == 1, ended.stderr
    assert "broken: family Broken: default_cores is 101 of 100 percent" in ended.stdout
    assert "Lower default_cores." in ended.stdout


def test_json_has_every_rule_with_what_was_found(broken: Path) -> None:
    document = json.loads(conformance("hami_broken", "--group", "families", "-o", "json", path=broken).stdout)
    assert (document["plugin"], document["machine"], document["conforms"]) == ("hami_broken", None, False)
    (rule,) = [rule for rule in document["checks"] if rule["state"] == "broken"]
    assert rule == {
        "group": "families",
        "rule": "numbers agree with units",
        "state": "broken",
        "found": "family Broken: default_cores is 101 of 100 percent",
        "advice": "Lower default_cores.",
    }


def test_junit_has_a_case_a_rule(broken: Path) -> None:
    suite = ET.fromstring(conformance("hami_broken", "--group", "families", "-o", "junit", path=broken).stdout)
    assert (suite.get("tests"), suite.get("failures")) == (str(len(suite)), "1")
    (failure,) = suite.iter("failure")
    assert failure.get("message") == "family Broken: default_cores is 101 of 100 percent"


def test_a_machine_file_that_is_none_is_refused_with_its_name(tmp_path: Path) -> None:
    file = tmp_path / "machine.json"
    file.write_text('{"name": "m", "vendor": "dcu", "devices": [{"uuid": 1}]}', encoding="utf-8")
    ended = conformance("dcu", "--machine", str(file))
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"hami: {file}: is not a machine file: ")


def test_a_plugin_that_is_not_there_is_named_with_those_that_are() -> None:
    ended = conformance("nobody")
    assert ended.returncode == 2
    assert ended.stderr.startswith('hami: no plugin named "nobody"; known: ascend, ')


def test_a_plugin_that_cannot_be_imported_says_why(tmp_path: Path) -> None:
    (tmp_path / "hami_sad.py").write_text("import no_such_library\n", encoding="utf-8")
    ended = conformance("hami_sad", path=tmp_path)
    assert (ended.returncode, ended.stderr) == (
        2,
        "hami: plugin hami_sad: cannot be loaded: No module named 'no_such_library'\n",
    )


def test_a_group_that_is_not_there_is_refused_with_those_that_are() -> None:
    ended = conformance("dcu", "--group", "colours")
    assert ended.returncode == 2
    assert 'there is no group "colours"; groups are: families, requests, admission, codecs, fit' in ended.stderr
