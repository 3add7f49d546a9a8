"""`hami node-agent` as a process: it works, and it ends when it is told to."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import yaml
from tests.kube.fake_api import until
from tests.kube.loop import in_loop

from .world import GPU, NODE, container, world

HAMI = "import sys; from hami_core.cli import main; main()"


@in_loop
async def test_the_process_serves_kubelet_and_ends_on_sigterm(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        user = {"token": "secret"}
        config = {
            "clusters": [{"name": "c", "cluster": {"server": here.api.host}}],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(config))
        paths = here.settings.paths
        agent = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", HAMI, "node-agent", "--node-name=n1", f"--kubeconfig={kubeconfig}"),
            *(f"--plugins-dir={paths.plugins}", f"--pod-resources-socket={paths.pod_resources}"),
            *(f"--cdi-dir={paths.cdi}", f"--files-dir={paths.files}", "--log-format=json"),
            env=here.environ,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            await until(lambda: here.kubelet.devices(GPU), patience_s=60)
            assert here.cluster.item(NODE)["metadata"]["annotations"]["hami.io/binding"] == "late"
            await here.place("a", container("main", 6000))
            admitted = await here.kubelet.admit("team", "a", "main", GPU, 1)
            await here.kubelet.pre_start(admitted)
        finally:
            agent.send_signal(signal.SIGTERM)
            _, said = await agent.communicate()
        assert agent.returncode == 0, said.decode()
        assert here.seen_inside(admitted) == [6000], "what a container has does not end with the agent"
