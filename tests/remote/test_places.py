"""Which sockets and tables are taken for plugins, and which sockets are not to be trusted."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from hami_core.errors import PluginFault
from hami_core.remote.places import Place, check_name, check_socket, places


def listen(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def test_a_plugin_is_there_by_its_socket_or_by_its_table(environ: dict[str, str]) -> None:
    sockets, tables = Path(environ["HAMI_PLUGIN_SOCKETS"]), Path(environ["HAMI_PLUGIN_TABLES"])
    for file in (sockets / "both.sock", tables / "both.json", sockets / "left.sock", tables / "right.json"):
        file.touch()
    for other in (sockets / "README", tables / "notes.txt", tables / "..2026_11_24.json"):
        other.touch()
    found = {place.name: place.table for place in places(environ)}
    assert found == {"both": tables / "both.json", "left": None, "right": tables / "right.json"}


def test_folders_that_are_not_there_hold_no_plugins(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone")
    assert places({"HAMI_PLUGIN_SOCKETS": gone, "HAMI_PLUGIN_TABLES": gone}) == ()


@pytest.mark.parametrize("name", ["Borealis", "-a", "a-", "a.b", "a" * 64, "a b", "é"])
def test_a_file_whose_name_is_no_plugins_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(PluginFault, match="lower-case letters, digits and hyphens"):
        check_name(Place(name=name, socket=tmp_path / f"{name}.sock"))


def test_a_socket_of_ours_in_a_folder_of_ours_is_trusted(place: Place) -> None:
    listen(place.socket)
    check_socket(place)


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o1777])
def test_a_folder_that_others_may_write_to_is_not(place: Place, mode: int) -> None:
    listen(place.socket)
    place.socket.parent.chmod(mode)
    with pytest.raises(PluginFault, match=r"writable by its owner only; its mode is \d+ \(run: chmod go-w"):
        check_socket(place)


def test_a_socket_that_belongs_to_somebody_else_is_not(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    listen(place.socket)
    owner = place.socket.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    monkeypatch.setattr("hami_core.remote.places._ROOT", owner + 2)
    with pytest.raises(PluginFault, match=f"must belong to root or uid {owner + 1}; it belongs to uid {owner}"):
        check_socket(place)


def test_what_is_no_socket_is_refused(place: Place) -> None:
    place.socket.touch()
    with pytest.raises(PluginFault, match="must be a socket"):
        check_socket(place)


def test_a_link_to_a_socket_is_refused(place: Place) -> None:
    listen(place.socket.with_suffix(".real"))
    place.socket.symlink_to(place.socket.with_suffix(".real"))
    with pytest.raises(PluginFault, match="must be a socket"):
        check_socket(place)


def test_a_missing_socket_asks_for_the_agent(place: Place) -> None:
    with pytest.raises(PluginFault, match="is the vendor's agent running"):
        check_socket(place)
