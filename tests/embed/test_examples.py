"""The examples and the documentation do what they show."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "embed.md"
PAGE_ADDRESS = "unix:/run/hami/fit.sock"


def test_the_batch_queue_starts_what_fits_and_says_why_the_rest_waits() -> None:
    script = ROOT / "examples" / "embed" / "python" / "batch.py"
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "train: started on GPU-1 with 40000 MiB",
        "tune: started on GPU-0 with 30000 MiB",
        "probe: started on GPU-1 with 2000 MiB",
        "serve: waits; machine-1: 2/2 CardInsufficientMemory",
        "train: ended",
        "serve: started on GPU-1 with 20000 MiB",
    ]


def test_the_page_on_embedding_shows_what_happens(address: str) -> None:
    text = PAGE.read_text()
    assert PAGE_ADDRESS in text
    blocks = re.findall(r"^```python\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 5
    story = "\n".join(blocks).replace(PAGE_ADDRESS, address)
    page = doctest.DocTestParser().get_doctest(story, {}, PAGE.name, str(PAGE), 0)
    report: list[str] = []
    result = doctest.DocTestRunner(optionflags=doctest.FAIL_FAST).run(page, out=report.append)
    assert result.failed == 0, "".join(report)
    assert result.attempted >= 30


def test_the_page_links_to_what_is_there() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", PAGE.read_text())
    missing = [target for target in targets if not (PAGE.parent / target).exists()]
    assert missing == []
