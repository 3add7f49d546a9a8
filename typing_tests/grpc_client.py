"""The generated client as a Python program uses it, blocking and on a loop. Never run: mypy checks it."""

from __future__ import annotations

from typing import assert_type

import grpc

from hami_core.rpc.fit.v1 import fit_pb2, fit_pb2_grpc


def reserve(address: str, pod: bytes) -> fit_pb2.Placement | None:
    with grpc.insecure_channel(address) as channel:
        engine = fit_pb2_grpc.FitServiceStub(channel)
        reply = engine.Reserve(fit_pb2.ReserveRequest(pod=fit_pb2.Pod(kubernetes_json=pod), hold_s=10.0))
        assert_type(reply, fit_pb2.ReserveResponse)
        return reply.reservation.placement if reply.HasField("reservation") else None


async def follow(address: str) -> list[str]:
    async with grpc.aio.insecure_channel(address) as channel:
        engine = fit_pb2_grpc.FitServiceStub(channel)
        placed: list[str] = []
        async for event in engine.Watch(fit_pb2.WatchRequest()):
            kind = event.WhichOneof("event")
            if kind == "pod" and event.pod.state == fit_pb2.PodState.STATE_PLACED:
                placed.append(event.pod.key)
            elif kind == "synced":
                break
        return placed
