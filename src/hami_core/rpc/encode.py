"""Values to messages."""

from __future__ import annotations

from hami_core.model import ContainerKind, ContainerShares, DeviceShare, Placement
from hami_core.rpc.fit.v1 import fit_pb2
from hami_core.verdict import Broken, Fits, Rejected, Verdict

_KINDS = {
    ContainerKind.INIT: fit_pb2.CONTAINER_KIND_INIT,
    ContainerKind.SIDECAR: fit_pb2.CONTAINER_KIND_SIDECAR,
    ContainerKind.APP: fit_pb2.CONTAINER_KIND_APP,
}


def placement(value: Placement) -> fit_pb2.Placement:
    """Say where a pod is."""
    return fit_pb2.Placement(node=value.node, containers=[_container(item) for item in value.containers])


def fits(value: Fits) -> fit_pb2.Fits:
    """Say that a pod fits, and on which cards."""
    return fit_pb2.Fits(score=value.score, placement=placement(value.placement))


def verdict(node: str, value: Verdict, *, cards: bool) -> fit_pb2.NodeVerdict:
    """Say what the engine thinks of one node; with `cards`, of each of its cards."""
    text = str(value)
    if isinstance(value, Fits):
        return fit_pb2.NodeVerdict(node=node, text=text, fits=fits(value))
    if isinstance(value, Rejected):
        return fit_pb2.NodeVerdict(node=node, text=text, rejected=_rejected(value, cards=cards))
    return fit_pb2.NodeVerdict(node=node, text=text, broken=_broken(value))


def _rejected(value: Rejected, *, cards: bool) -> fit_pb2.Rejected:
    tally = sorted((str(reason), count) for reason, count in value.tally.items())
    return fit_pb2.Rejected(
        tally=[fit_pb2.ReasonCount(reason=reason, cards=count) for reason, count in tally],
        total_cards=value.total,
        curable=value.curable,
        container=value.container or None,
        cards=[
            fit_pb2.CardReason(uuid=card.uuid, family=card.family, reason=str(card.reason), detail=card.detail)
            for card in (value.devices if cards else ())
        ],
    )


def _broken(value: Broken) -> fit_pb2.Broken:
    return fit_pb2.Broken(problem=value.problem, plugin=value.plugin or None)


def _container(value: ContainerShares) -> fit_pb2.ContainerShares:
    shares = {
        family: fit_pb2.DeviceShares(shares=[_share(share) for share in held]) for family, held in value.shares.items()
    }
    return fit_pb2.ContainerShares(name=value.name, kind=_KINDS[value.kind], shares=shares)


def _share(value: DeviceShare) -> fit_pb2.DeviceShare:
    message = fit_pb2.DeviceShare(uuid=value.uuid, memory_mib=value.memory_mib, core_units=value.core_units)
    if value.partition is not None:
        message.partition.profile = value.partition.profile
        message.partition.placement.start = value.partition.placement.start
        message.partition.placement.size = value.partition.placement.size
    return message
