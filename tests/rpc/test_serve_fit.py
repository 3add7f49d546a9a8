"""`hami serve-fit` as a process: what it says, what answers, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
import trustme
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from hami_core.rpc.fit.v1 import fit_pb2, fit_pb2_grpc

HAMI = str(Path(sys.executable).with_name("hami"))
SERVICE = "hami.fit.v1.FitService"


@contextmanager
def served(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server, and the address that it says it listens on."""
    # HAMI_PLUGINS: the vendors that are installed do not matter here.
    environ = {**os.environ, "HAMI_PLUGINS": ""}
    command = [HAMI, "serve-fit", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ) as server:
        try:
            assert server.stdout is not None
            said = server.stdout.readline()
            assert said.startswith("listening on "), server.communicate()[1]
            yield server, said.removeprefix("listening on ").strip()
        finally:
            server.kill()


def refused(*options: str) -> str:
    """What a server that does not start says."""
    done = subprocess.run([HAMI, "serve-fit", *options], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_watchers_are_told_and_the_socket_goes(number: signal.Signals, tmp_path: Path) -> None:
    path = tmp_path / "fit.sock"
    with served("--listen", f"unix:{path}") as (server, address), grpc.insecure_channel(address) as channel:
        events = fit_pb2_grpc.FitServiceStub(channel).Watch(fit_pb2.WatchRequest(), wait_for_ready=True)
        assert next(events).WhichOneof("event") == "synced"
        server.send_signal(number)
        with pytest.raises(grpc.RpcError) as caught:
            next(events)
        assert (caught.value.code(), caught.value.details()) == (
            grpc.StatusCode.UNAVAILABLE,
            "the server is shutting down",
        )
        out, errors = server.communicate(timeout=60)
    assert (server.returncode, out, errors) == (0, "", "")
    assert not path.exists()


def test_a_killed_server_is_started_again_at_the_same_place(tmp_path: Path) -> None:
    path = tmp_path / "fit.sock"
    with served("--listen", f"unix:{path}") as (server, _):
        server.kill()
        server.wait()
        assert path.is_socket()
    with served("--listen", f"unix:{path}") as (_, address), grpc.insecure_channel(address) as channel:
        reply = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=SERVICE), timeout=20)
        assert reply.status == health_pb2.HealthCheckResponse.SERVING


def test_a_tool_that_knows_no_proto_file_can_learn_the_service_by_reflection(tmp_path: Path) -> None:
    with served("--listen", "127.0.0.1:0") as (_, address), grpc.insecure_channel(address) as channel:
        learnt = ProtoReflectionDescriptorDatabase(channel)
        assert set(learnt.get_services()) >= {SERVICE, "grpc.health.v1.Health"}
        service = DescriptorPool(learnt).FindServiceByName(SERVICE)
        assert [method.name for method in service.methods] == [
            "UpsertNode", "RemoveNode", "AddPod", "RemovePod", "SetQuota",
            "Decide", "Reserve", "Confirm", "Release", "Watch",
        ]  # fmt: skip


def test_over_tls_only_clients_of_the_right_authority_are_answered(tmp_path: Path) -> None:
    authority, clients = trustme.CA(), trustme.CA()
    issued, client = authority.issue_cert("localhost"), clients.issue_cert("client@example.com")
    certificate, key, ca = (tmp_path / name for name in ("cert.pem", "key.pem", "ca.pem"))
    issued.private_key_pem.write_to_path(str(key))
    issued.cert_chain_pems[0].write_to_path(str(certificate))
    clients.cert_pem.write_to_path(str(ca))
    tls = ("--tls-cert", str(certificate), "--tls-key", str(key), "--tls-client-ca", str(ca))
    with served("--listen", "0.0.0.0:0", *tls) as (_, address):
        port = address.rpartition(":")[2]
        mine = grpc.ssl_channel_credentials(
            authority.cert_pem.bytes(), client.private_key_pem.bytes(), client.cert_chain_pems[0].bytes()
        )
        with grpc.secure_channel(f"localhost:{port}", mine) as channel:
            decided = fit_pb2_grpc.FitServiceStub(channel).RemovePod(fit_pb2.RemovePodRequest(key="x"), timeout=20)
            assert not decided.removed
        nobody = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
        with grpc.secure_channel(f"localhost:{port}", nobody) as channel:
            with pytest.raises(grpc.RpcError) as caught:
                fit_pb2_grpc.FitServiceStub(channel).RemovePod(fit_pb2.RemovePodRequest(key="x"), timeout=20)
            assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


def test_a_port_in_use_is_refused_not_shared() -> None:
    with served("--listen", "127.0.0.1:0") as (_, address):
        assert f"cannot listen on {address}: in use" in refused("--listen", address)


def test_what_can_not_be_served_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    assert "can be reached from other machines" in refused("--listen", "0.0.0.0:0")
    assert "--tls-cert and --tls-key, both" in refused("--listen", "127.0.0.1:0", "--tls-key", "key.pem")
    assert "must be unix:/path, HOST:PORT" in refused("--listen", "somewhere")
    missing = tmp_path / "none.yaml"
    assert str(missing) in refused("--listen", "127.0.0.1:0", "--device-config", str(missing))
