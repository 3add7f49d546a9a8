"""The main job from end to end, on a simulated machine with two NVIDIA A40 cards: what `make demo` runs.

It does what a person would type, step by step, and checks what that person would look for. The first expectation that
does not hold ends it with exit code 1.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

HERE = Path(__file__).parent
HAMI = str(Path(sys.executable).with_name("hami"))
MACHINE, OTHER = "a40x2", "t4"  # shipped machines; the other one shows why a node is passed over
POD = HERE / "nvidia" / "gpu-test3.yaml"
DEVICE_TABLE = [sys.executable, str(HERE / "nvidia" / "device_table.py")]
HOLD_MEMORY = [sys.executable, str(HERE / "nvidia" / "hold_memory.py")]
PATIENCE_S = 60


def main() -> None:
    """Run the steps; whatever happens, leave no process behind."""
    with tempfile.TemporaryDirectory(prefix="hami-demo-") as folder:
        os.environ["HAMI_STATE_DIR"] = folder
        started: list[subprocess.Popen[str]] = []
        try:
            tell(started)
        finally:
            for process in started:
                process.terminate()
                process.wait(PATIENCE_S)
    print("\ndemo: every check passed")


def tell(started: list[subprocess.Popen[str]]) -> None:
    """The story."""
    step("The machine")
    hami("devices", "--simulate", MACHINE)

    step(f"Where the pod of {POD.relative_to(HERE.parent)} goes, and why")
    cluster = Path(os.environ["HAMI_STATE_DIR"]) / "cluster.json"
    nodes = [hami("devices", "--simulate", name, "-o", "node", quiet=True) for name in (MACHINE, OTHER)]
    cluster.write_text("".join(nodes))
    question = ("schedule", "--cluster", str(cluster), "-f", str(POD))
    hami(*question, "--explain")
    decision = json.loads(hami(*question, "-o", "json", quiet=True))
    (shares,) = decision["nodes"][MACHINE]["devices"]["NVIDIA"]
    expect("two different cards, 23034 MiB and 30 percent of each",
           decision["node"] == MACHINE and len({share["uuid"] for share in shares}) == 2
           and all((share["memory_mib"], share["core_percent"]) == (23034, 30) for share in shares))  # fmt: skip

    step("Start its container's command inside that share, and a neighbour on the same cards")
    command = yaml.safe_load(POD.read_text())["spec"]["containers"][0]["command"]
    uuids = [word for share in shares for word in ("--uuid", share["uuid"])]
    pod_share = ("--count", "2", "--memory", str(shares[0]["memory_mib"]), "--cores", str(shares[0]["core_percent"]))
    started.append(start("run", "--simulate", MACHINE, *pod_share, *uuids, "--", *command))
    pod = wait_for_lease(started[0])
    neighbour = start("run", "--simulate", MACHINE, "--memory", "22000", *uuids[:2], "--", *HOLD_MEMORY, "20000")
    started.append(neighbour)
    expect_line(neighbour, "holds 20000 MiB")

    step("The cards as seen from inside: each is half an A40")
    table = hami("exec", pod, "--", *DEVICE_TABLE)
    expect("each card reads 23034MiB", table.count("/ 23034MiB") == 2)

    step("Past the limit the driver's own error comes back, and the neighbour works on")
    inside = start("exec", pod, "--", *HOLD_MEMORY, "20000")
    started.append(inside)
    expect_line(inside, "holds 20000 MiB")
    refusal = hami("exec", pod, "--", *HOLD_MEMORY, "4000", may_fail=True)
    expect("another process of the share, 4000 MiB more: CUDA_ERROR_OUT_OF_MEMORY",
           "CUDA_ERROR_OUT_OF_MEMORY" in refusal)  # fmt: skip
    say(neighbour, "go on")
    expect_line(neighbour, "still works on its 20000 MiB")

    step("The use as seen from outside")
    hami("ps", "--simulate", MACHINE)
    uses = {lease["id"]: lease["devices"][0] for lease in leases()}
    expect("the pod's first card holds 20000 MiB and more, within its 23034",
           20000 <= uses[pod]["memory_used_mib"] <= 23034)  # fmt: skip

    step("A third share does not fit beside these two, and the reason is told for each card")
    refusal = hami("run", "--simulate", MACHINE, "--count", "2", "--memory", "10000", "--", "true", may_fail=True)
    expect("no room, with the free memory of the card", "CardInsufficientMemory" in refusal)

    step("Everything is released at the end, even after kill -9 of the pod's command")
    os.kill(next(lease["pid"] for lease in leases() if lease["id"] == pod), signal.SIGKILL)
    for process in started:
        process.terminate()
        process.wait(PATIENCE_S)
    hami("ps", "--simulate", MACHINE)
    expect("no leases are left", leases() == [])


def step(title: str) -> None:
    """Announce what comes next."""
    print(f"\n==> {title}", flush=True)


def expect(what: str, holds: bool) -> None:  # noqa: FBT001 - reads as a sentence
    """Say that something holds, or end the demo."""
    if not holds:
        sys.exit(f"demo: FAILED: {what}")
    print(f"  ok: {what}", flush=True)


def hami(*arguments: str, quiet: bool = False, may_fail: bool = False) -> str:
    """Type a hami command, show it with what it prints, and return that."""
    if not quiet:
        print(f"$ hami {' '.join(shown(word) for word in arguments)}", flush=True)
    ended = subprocess.run([HAMI, *arguments], check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if not quiet:
        print(ended.stdout, end="", flush=True)
    if ended.returncode and not may_fail:
        sys.exit(f"demo: FAILED: hami {arguments[0]} ended with {ended.returncode}: {ended.stdout}")
    return ended.stdout


def start(*arguments: str) -> subprocess.Popen[str]:
    """Start a hami command and let it run."""
    print(f"$ hami {' '.join(shown(word) for word in arguments)} &", flush=True)
    return subprocess.Popen([HAMI, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)


def say(process: subprocess.Popen[str], line: str) -> None:
    """Write a line to a running command."""
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")


def expect_line(process: subprocess.Popen[str], wanted: str) -> None:
    """Wait for the next line of a running command and check it."""
    assert process.stdout is not None
    expect(wanted, process.stdout.readline().strip() == wanted)


def leases() -> list[dict[str, object]]:
    """The leases on the machine, as a program reads them."""
    listed: list[dict[str, object]] = json.loads(hami("ps", "--simulate", MACHINE, "-o", "json", quiet=True))["leases"]
    return listed


def wait_for_lease(process: subprocess.Popen[str]) -> str:
    """Wait until the command that was just started holds its lease; return the lease's name."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not (held := leases()):
        if process.poll() is not None or time.monotonic() > deadline_s:
            sys.exit("demo: FAILED: hami run took no lease")
        time.sleep(0.2)
    return str(held[0]["id"])


def shown(word: str) -> str:
    """A word of a command as the person at this place would type it."""
    return word.replace(sys.executable, "python").replace(f"{HERE.parent}/", "")


if __name__ == "__main__":
    main()
