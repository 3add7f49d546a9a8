"""`hami schedule`: where a pod would go in a cluster, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hami_core.cli.output import emit, format_option, plain, short_uuid, table
from hami_core.errors import BadConfig, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import Console, RenderableType

    from hami_core.registry import Registry
    from hami_core.whatif import Decision

NO_ROOM = 75  # as of `hami run`
BAD_INPUT = 2
_STDIN = "-"


@click.command(
    epilog="Example: kubectl get nodes,pods -A -o json | hami schedule --cluster - -f pod.yaml --explain",
)
@click.option("--cluster", metavar="FILE", help="What `kubectl get nodes,pods -A -o json` prints; - is stdin.")
@click.option("-f", "--file", "pods", metavar="POD.yaml", multiple=True, help="The pod to place; - is stdin.")
@click.option("--config", metavar="FILE", help="HAMi's device-config.yaml.")
@click.option("--jsonl", is_flag=True, help='Answer one question a line: {"objects":[...],"pod":{...}} on stdin.')
@click.option("--explain", is_flag=True, help="Say for each device why it was passed over, and what would help.")
@format_option()
def schedule(
    *, cluster: str | None, pods: tuple[str, ...], config: str | None, jsonl: bool, explain: bool, output: str
) -> int:
    """Say for each node whether the pod fits, its score and devices, or the reason against it.

    Without -f the cluster's own pending pods that ask for devices are placed one after the other, each beside those
    before it. Exit code: 0 every pod has a place, 75 one has none, 2 one was refused or a part of the input is wrong;
    the rest is decided all the same.
    """
    if jsonl and (cluster or pods):
        raise click.UsageError("--jsonl reads clusters and pods from stdin; drop --cluster and -f")
    if not jsonl and cluster is None:
        raise click.UsageError("say which cluster: --cluster FILE, or --jsonl")
    if [cluster, *pods].count(_STDIN) > 1:
        raise click.UsageError("only one of --cluster and -f can be stdin")
    registry = _registry(config)
    if cluster is None:
        from hami_core.cli.schedule_lines import answer_lines

        return answer_lines(registry)
    decisions = list(_decide(cluster, pods, registry))
    problems = dict.fromkeys(problem for decision in decisions for problem in decision.problems)
    for problem in problems:
        click.echo(f"hami: {problem}", err=True)
    documents = [decision.to_dict() for decision in decisions]
    if explain:
        for document, decision in zip(documents, decisions, strict=True):
            document["explanations"] = decision.explain()
            document["advice"] = decision.advice()
    emit(
        documents[0] if len(documents) == 1 else {"decisions": documents},
        output,
        lambda console: [part for document in documents for part in _tables(document, console)],
    )
    if problems:
        return BAD_INPUT
    return max((_exit_code(document) for document in documents), key=(0, NO_ROOM, BAD_INPUT).index)


def _registry(config: str | None) -> Registry:
    from pathlib import Path

    from hami_core.registry import load_registry
    from hami_core.wire.device_config import ConfigSections

    return load_registry(None if config is None else ConfigSections.load(Path(config)))


def _exit_code(document: Mapping[str, Any]) -> int:
    if not document["admitted"]:
        return BAD_INPUT
    return 0 if document["node"] is not None or _anywhere(document) else NO_ROOM


def _anywhere(document: Mapping[str, Any]) -> bool:
    """Whether no node was chosen because the pod asks for no device."""
    return document["node"] is None and any(node["fits"] for node in document["nodes"].values())


def _decide(cluster: str, files: tuple[str, ...], registry: Registry) -> Iterator[Decision]:
    """One decision a pod. A pod that found a place holds it when the next one is decided."""
    from hami_core.cli.documents import read_documents
    from hami_core.objects import items
    from hami_core.whatif import decide

    objects = [item for document in read_documents(cluster) for item in items(document)]
    pods = [_pod(item, file) for file in files for document in read_documents(file) for item in items(document)]
    for pod in pods or _pending(objects, cluster, registry):
        decision = decide(objects, pod, registry=registry)
        yield decision
        objects.append(_bound(pod, decision.to_dict()))


def _pod(item: Mapping[str, Any], file: str) -> Mapping[str, Any]:
    kind = item.get("kind", "object")
    if kind != "Pod":
        raise BadConfig(file=file, problem=f"holds {shown(kind)}; expected a Pod (of a Deployment, its spec.template)")
    return item


def _pending(objects: Sequence[Mapping[str, Any]], cluster: str, registry: Registry) -> list[Mapping[str, Any]]:
    """Pods of the cluster that wait for a node and ask for devices, in the order of the file."""
    from hami_core.errors import BadWire
    from hami_core.objects import read_pod

    resources = {name for loaded in registry.families.values() for name in loaded.family.resources.names}
    waiting = []
    for item in objects:
        if item.get("kind") != "Pod":
            continue
        try:
            pod = read_pod(item)
        except BadWire:
            continue  # a nameless pod of the cluster file is no reason to answer nothing about the others
        asks = any(container.asked(name) is not None for container in pod.containers for name in resources)
        if asks and not pod.node_name and not pod.finished and not pod.deleting:
            waiting.append(item)
    if not waiting:
        raise BadConfig(file=cluster, problem="has no pending pod that asks for devices; name a pod with -f POD.yaml")
    return waiting


def _bound(pod: Mapping[str, Any], decision: Mapping[str, Any]) -> Mapping[str, Any]:
    """The pod as the cluster would hold it after this decision."""
    metadata = dict(pod.get("metadata") or {})
    metadata["annotations"] = {**(metadata.get("annotations") or {}), **decision["annotations"]}
    spec = {**(pod.get("spec") or {})}
    if decision["node"] is not None:
        spec["nodeName"] = decision["node"]
    return {**pod, "metadata": metadata, "spec": spec}


def _tables(document: Mapping[str, Any], console: Console) -> list[RenderableType]:
    head = f"pod {plain(document['pod'])}: "
    if not document["admitted"]:
        return [head + f"[red]refused:[/red] {plain(document['message'])}"]
    if document["node"] is not None:
        head += f"goes to [bold]{plain(document['node'])}[/bold]"
    else:
        head += "asks for no device, any node will do" if _anywhere(document) else "[red]fits nowhere[/red]"
    made = table("NODE", "FITS", "SCORE", "DEVICES, OR WHY NOT", right=("SCORE",), fold=("DEVICES, OR WHY NOT",))
    explanations = document.get("explanations", {})
    for name, node in document["nodes"].items():
        lines = [_devices(node["devices"], console)] if node["fits"] else [plain(node["reason"])]
        lines += [f"[dim]{plain(line)}[/dim]" for line in explanations.get(name, ())]
        fits, score = ("yes", f"{node['score']:g}") if node["fits"] else ("no", "-")
        made.add_row(plain(name), fits, score, "\n".join(lines))
    return [head, made, *(f"would fit with {plain(advice)}" for advice in document.get("advice", ()))]


def _devices(families: Mapping[str, Any], console: Console) -> str:
    """One line a share: the card, and how much of it."""
    lines = []
    for family, containers in families.items():
        for position, shares in enumerate(containers):
            for share in shares:
                where = f"container {position}: " if len(containers) > 1 else ""
                cores = f", {share['core_percent']}% cores" if share["core_percent"] else ""
                uuid = short_uuid(share["uuid"], console)
                lines.append(f"{where}{plain(family)} {uuid} {share['memory_mib']} MiB{cores}")
    return "\n".join(lines) or "no devices asked for"
