from __future__ import annotations

import asyncio
import re
from pathlib import Path

from tests.kube.fake_api import fake_api
from tests.kube.loop import in_loop
from tests.kube.world import registry

from hami_core.cli.scheduler import scheduler as command
from hami_core.kube.process import Scheduler
from hami_core.kube.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"


@in_loop
async def test_every_metric_is_on_the_page_of_metrics() -> None:
    async with fake_api() as (_fake, api):
        raw = await asyncio.to_thread(Scheduler(api, registry(), Settings()).metrics.text)
    names = set(re.findall(r"# TYPE (\S+)", raw.decode()))
    page = (DOCS / "metrics.md").read_text()
    assert "hami_gpu_shared_count" in names
    missing = {name for name in names if not name.endswith("_created") and f"`{name}`" not in page}
    assert missing == set()


def test_every_flag_on_the_scheduler_page_exists() -> None:
    flags = {option for parameter in command.params for option in parameter.opts}
    assert set(re.findall(r"`(--[a-z-]+)", (DOCS / "scheduler.md").read_text())) <= flags
