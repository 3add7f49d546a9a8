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

PAGE = (Path(__file__).parents[2] / "docs" / "scheduler.md").read_text()


@in_loop
async def test_every_metric_is_on_the_scheduler_page() -> None:
    async with fake_api() as (_fake, api):
        raw = await asyncio.to_thread(Scheduler(api, registry(), Settings()).metrics.text)
    names = {name.removesuffix("_total") for name in re.findall(r"# TYPE (\S+)", raw.decode())}
    assert "hami_gpu_shared_count" in names
    missing = {name for name in names if not name.endswith("_created") and f"`{name}`" not in PAGE}
    assert missing == set()


def test_every_flag_on_the_scheduler_page_exists() -> None:
    flags = {option for parameter in command.params for option in parameter.opts}
    assert set(re.findall(r"`(--[a-z-]+)", PAGE)) <= flags
