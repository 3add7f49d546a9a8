"""A real Prometheus that scrapes one address, with the shipped alerts as its rules."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dashboards.generate import HERE

PROMETHEUS = shutil.which("prometheus")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def ask(base: str, path: str, **query: str) -> Any:
    with urllib.request.urlopen(f"{base}/api/v1/{path}?{urllib.parse.urlencode(query)}") as answer:
        document = json.load(answer)
    assert document["status"] == "success", document
    return document["data"]


@contextmanager
def prometheus_of(metrics_url: str, folder: Path) -> Iterator[str]:
    """The address of a Prometheus that has scraped `metrics_url` three times, and evaluated the rules."""
    base = f"http://127.0.0.1:{free_port()}"
    settings = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(HERE / "alerts.yaml")],
        "scrape_configs": [
            {"job_name": "hami", "static_configs": [{"targets": [urllib.parse.urlsplit(metrics_url).netloc]}]}
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(settings))
    assert PROMETHEUS is not None
    words = [
        PROMETHEUS, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={urllib.parse.urlsplit(base).netloc}",
    ]  # fmt: skip
    with (folder / "log").open("wb") as log, subprocess.Popen(words, stdout=log, stderr=log) as process:
        try:
            wait_for_scrapes(base, process, folder / "log")
            yield base
        finally:
            process.terminate()


def wait_for_scrapes(base: str, process: subprocess.Popen[bytes], log: Path) -> None:
    while True:
        assert process.poll() is None, log.read_text()
        try:
            scrapes = ask(base, "query", query="count_over_time(up[1m])")["result"]
            groups = ask(base, "rules")["groups"]
        except urllib.error.URLError:
            scrapes, groups = [], []
        evaluated = groups and all(rule["health"] != "unknown" for group in groups for rule in group["rules"])
        if evaluated and scrapes and float(scrapes[0]["value"][1]) >= 3:
            return
        time.sleep(0.2)
