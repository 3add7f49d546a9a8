from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from hami_core.cli.explain import explain
from hami_core.cli.options import Seconds
from hami_core.cli.scheduler import parse_listen, scheduler


@pytest.mark.parametrize(
    ("text", "seconds"), [("5m", 300), ("28s", 28), ("1m30s", 90), ("250ms", 0.25), ("1.5h", 5400), ("60", 60)]
)
def test_durations_are_read_as_go_writes_them(text: str, seconds: float) -> None:
    assert Seconds().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "m", "5x", "5m?", "-5m", "5 m"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(click.BadParameter, match="write 5m"):
        Seconds().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:8080", "127.0.0.1", 8080), (":9395", "0.0.0.0", 9395), ("[::1]:443", "::1", 443)],
)
def test_addresses_are_a_host_and_a_port(text: str, host: str, port: int) -> None:
    listen = parse_listen(text, "--http-bind")
    assert (listen.host, listen.port) == (host, port)


@pytest.mark.parametrize("text", ["", "8080", "host", "host:", "host:http", "::1:443", "a:65536"])
def test_what_is_no_address_is_refused_with_the_flag(text: str) -> None:
    with pytest.raises(click.UsageError, match="--http-bind takes HOST:PORT"):
        parse_listen(text, "--http-bind")


def test_a_certificate_needs_its_key(tmp_path: Path) -> None:
    done = CliRunner().invoke(scheduler, ["--cert-file", str(tmp_path / "tls.crt")])
    assert done.exit_code == 2
    assert "--cert-file and --key-file, both" in done.output


DOCUMENT = {
    "pod": "team/a",
    "decision": "d1",
    "outcome": "rejected",
    "message": "no available node, 1 nodes do not meet",
    "when": "2026-11-24T10:00:00+00:00",
    "node": None,
    "tally": {"1/1 CardInsufficientMemory": 1},
    "nodes": {"n1": ["1/1 CardInsufficientMemory", "GPU-1: 9 MiB asked, 1 MiB free"]},
    "advice": ["container c: 1 MiB instead of 9: fits n1"],
}


class _Told(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        known = self.path == "/explain/team/a"
        body = json.dumps(DOCUMENT if known else {"error": "nothing is known"}).encode()
        self.send_response(200 if known else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Keep quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Told) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def test_explain_shows_every_card_and_what_would_help(server: str) -> None:
    done = CliRunner().invoke(explain, ["pod", "team/a", "--server", server], standalone_mode=False)
    assert done.return_value == 75
    for part in ("no available node", "GPU-1: 9 MiB asked, 1 MiB free", "would help: container c"):
        assert part in done.output


def test_explain_prints_the_document_for_programs(server: str) -> None:
    done = CliRunner().invoke(explain, ["pod", "team/a", "--server", server, "-o", "json"], standalone_mode=False)
    assert json.loads(done.output) == DOCUMENT


def test_a_pod_that_nobody_knows_is_an_error_with_the_servers_words(server: str) -> None:
    done = CliRunner().invoke(explain, ["pod", "team/b", "--server", server], standalone_mode=False)
    assert "404" in str(done.exception)
    assert "nothing is known" in str(done.exception)
