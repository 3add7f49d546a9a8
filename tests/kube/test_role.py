from __future__ import annotations

import asyncio
from contextlib import suppress

from tests.kube.fake_api import FakeApi, fake_api, until
from tests.kube.loop import in_loop
from tests.kube.world import Object

from hami_core.kube.role import OwnPod, Role

PODS = "/api/v1/namespaces/hami/pods"


def scheduler_pod(name: str, role: str = "") -> Object:
    return {"kind": "Pod", "metadata": {"namespace": "hami", "name": name, "labels": {"hami.io/scheduler-role": role}}}


def role_of(fake: FakeApi, name: str) -> str:
    role: str = fake.item(f"{PODS}/{name}")["metadata"]["labels"]["hami.io/scheduler-role"]
    return role


@in_loop
async def test_a_leader_labels_itself_and_takes_the_label_off_one_that_was_killed() -> None:
    async with fake_api() as (fake, api):
        await fake.put(f"{PODS}/new", scheduler_pod("new"))
        await fake.put(f"{PODS}/killed", scheduler_pod("killed", "leader"))
        leads = False
        role = Role(api, OwnPod(namespace="hami", name="new"), deciding=lambda: leads)
        task = asyncio.create_task(role.run())
        await until(lambda: role_of(fake, "new") == "follower")
        assert role_of(fake, "killed") == "leader"
        leads = True
        await until(lambda: role_of(fake, "killed") == "follower")
        assert role_of(fake, "new") == "leader"
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
