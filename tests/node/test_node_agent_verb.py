"""`hami node-agent` as a process: it works, and it ends when it is told to."""

from __future__ import annotations

from pathlib import Path

from tests.kube.loop import in_loop

from .world import GPU, NODE, agent_process, container, world


@in_loop
async def test_the_process_serves_kubelet_and_ends_on_sigterm(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        async with agent_process(here):
            assert here.cluster.item(NODE)["metadata"]["annotations"]["hami.io/binding"] == "late"
            await here.place("a", container("main", 6000))
            admitted = await here.kubelet.admit("team", "a", "main", GPU, 1)
            await here.kubelet.pre_start(admitted)
        assert here.seen_inside(admitted) == [6000], "what a container has does not end with the agent"
