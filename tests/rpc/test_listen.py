"""Where the service may listen, and what is left behind."""

from __future__ import annotations

import socket
import stat
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import grpc
import pytest
import trustme
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tests.rpc.loop import in_loop

from hami_core.errors import BadConfig
from hami_core.rpc.listen import Address, CannotListen, TcpAddress, UnixAddress, listening, parse_address
from hami_core.rpc.tls import TlsFiles


@asynccontextmanager
async def answering(address: Address, *, tls: TlsFiles | None = None, insecure: bool = False):
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)
    with listening(server, address, tls=tls, insecure=insecure) as bound:
        await server.start()
        try:
            yield bound
        finally:
            await server.stop(0)


async def ask(channel: grpc.aio.Channel) -> int:
    async with channel:
        reply = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=20)
        return reply.status


SERVING = health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:/run/hami/fit.sock", UnixAddress(path=Path("/run/hami/fit.sock"))),
        ("unix:///run/hami/fit.sock", UnixAddress(path=Path("/run/hami/fit.sock"))),
        ("127.0.0.1:7412", TcpAddress(host="127.0.0.1", port=7412)),
        ("[::1]:0", TcpAddress(host="::1", port=0)),
        ("fit.example:65535", TcpAddress(host="fit.example", port=65535)),
    ],
)
def test_an_address_is_a_socket_file_or_a_host_and_a_port(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "text", ["", "unix:", "unix:run.sock", "7412", ":7412", "host:", "host:x", "host:65536", "host:-1", "::1:80", "a:²"]
)
def test_what_is_no_address_is_refused_with_the_forms_that_are(text: str) -> None:
    with pytest.raises(BadConfig, match="--listen: "):
        parse_address(text)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False)],
)
def test_only_the_loopback_counts_as_this_machine(host: str, loopback: bool) -> None:
    assert TcpAddress(host=host, port=1).loopback is loopback


@in_loop
async def test_a_unix_socket_is_for_this_user_only_and_goes_away_with_its_server(tmp_path: Path) -> None:
    path = tmp_path / "fit.sock"
    async with answering(UnixAddress(path=path)):
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert list(tmp_path.iterdir()) == [path]
        assert await ask(grpc.aio.insecure_channel(f"unix:{path}")) == SERVING
    assert list(tmp_path.iterdir()) == []


@in_loop
async def test_the_socket_of_a_killed_server_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "fit.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with answering(UnixAddress(path=path)):
        assert await ask(grpc.aio.insecure_channel(f"unix:{path}")) == SERVING


@in_loop
async def test_a_socket_in_use_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "fit.sock"
    async with answering(UnixAddress(path=path)):
        with pytest.raises(CannotListen, match="another server listens there"):
            async with answering(UnixAddress(path=path)):
                pass
        assert await ask(grpc.aio.insecure_channel(f"unix:{path}")) == SERVING
        assert list(tmp_path.iterdir()) == [path]


@in_loop
async def test_a_file_that_is_no_socket_is_never_removed(tmp_path: Path) -> None:
    path = tmp_path / "fit.sock"
    path.write_text("precious")
    with pytest.raises(CannotListen, match="it is not a socket"):
        async with answering(UnixAddress(path=path)):
            pass
    assert path.read_text() == "precious"


@in_loop
async def test_a_socket_that_someone_else_put_in_our_place_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "fit.sock"
    with ExitStack() as stack:
        other = stack.enter_context(socket.socket(socket.AF_UNIX))
        async with answering(UnixAddress(path=path)):
            path.unlink()
            other.bind(str(path))
        assert path.is_socket()


@in_loop
async def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "fit.sock"
    with pytest.raises(CannotListen, match=f"cannot listen on unix:{path}: No such file or directory"):
        async with answering(UnixAddress(path=path)):
            pass


@in_loop
async def test_a_path_too_long_for_a_socket_says_by_how_much(tmp_path: Path) -> None:
    path = tmp_path / ("x" * (108 - len(str(tmp_path)) - 1))
    assert len(str(path)) == 108
    with pytest.raises(CannotListen, match="too long for a socket by 1 bytes"):
        async with answering(UnixAddress(path=path)):
            pass


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "fit.example"])
@in_loop
async def test_an_open_port_without_tls_must_be_asked_for(host: str) -> None:
    with pytest.raises(
        BadConfig, match="can be reached from other machines; add --tls-cert and --tls-key, or say --in"
    ):
        async with answering(TcpAddress(host=host, port=0)):
            pass


@in_loop
async def test_the_loopback_needs_no_tls_and_port_0_becomes_a_real_one() -> None:
    async with answering(TcpAddress(host="127.0.0.1", port=0)) as bound:
        assert isinstance(bound, TcpAddress)
        assert bound.port > 0
        assert await ask(grpc.aio.insecure_channel(str(bound))) == SERVING


@in_loop
async def test_an_open_port_that_was_asked_for_is_opened() -> None:
    async with answering(TcpAddress(host="0.0.0.0", port=0), insecure=True) as bound:
        assert isinstance(bound, TcpAddress)
        assert await ask(grpc.aio.insecure_channel(f"127.0.0.1:{bound.port}")) == SERVING


@in_loop
async def test_a_port_in_use_is_not_shared() -> None:
    async with answering(TcpAddress(host="127.0.0.1", port=0)) as bound:
        with pytest.raises(CannotListen, match="in use"):
            async with answering(bound):
                pass


class Authority:
    """A certificate authority with a folder for what it issues."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.files = TlsFiles(certificate=folder / "cert.pem", key=folder / "key.pem")
        self.issue()

    def issue(self) -> None:
        issued = self.ca.issue_cert("localhost")
        self.files.key.write_bytes(issued.private_key_pem.bytes())
        self.files.certificate.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))

    @property
    def root(self) -> bytes:
        return self.ca.cert_pem.bytes()


def secure(bound: Address, root: bytes, client: trustme.LeafCert | None = None) -> grpc.aio.Channel:
    assert isinstance(bound, TcpAddress)
    key = client.private_key_pem.bytes() if client else None
    chain = client.cert_chain_pems[0].bytes() if client else None
    return grpc.aio.secure_channel(f"localhost:{bound.port}", grpc.ssl_channel_credentials(root, key, chain))


LOCAL = TcpAddress(host="127.0.0.1", port=0)


@in_loop
async def test_with_tls_a_client_that_trusts_the_authority_is_answered_and_plain_text_is_not(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with answering(LOCAL, tls=authority.files) as bound:
        assert await ask(secure(bound, authority.root)) == SERVING
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask(grpc.aio.insecure_channel(str(bound)))
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


@in_loop
async def test_a_renewed_certificate_is_used_without_a_restart(tmp_path: Path) -> None:
    old = Authority(tmp_path)
    async with answering(LOCAL, tls=old.files) as bound:
        assert await ask(secure(bound, old.root)) == SERVING
        new = Authority(tmp_path)
        assert await ask(secure(bound, new.root)) == SERVING


@in_loop
async def test_tls_files_that_vanish_leave_those_in_use(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with answering(LOCAL, tls=authority.files) as bound:
        authority.files.key.unlink()
        assert await ask(secure(bound, authority.root)) == SERVING


@in_loop
async def test_with_a_client_authority_a_stranger_is_turned_away(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    ours = trustme.CA()
    ca_file = tmp_path / "clients.pem"
    ca_file.write_bytes(ours.cert_pem.bytes())
    files = TlsFiles(certificate=authority.files.certificate, key=authority.files.key, client_ca=ca_file)
    async with answering(LOCAL, tls=files) as bound:
        friend = ours.issue_cert("client@example.com")
        assert await ask(secure(bound, authority.root, friend)) == SERVING
        stranger = trustme.CA().issue_cert("client@example.com")
        for client in (None, stranger):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await ask(secure(bound, authority.root, client))
            assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


@in_loop
async def test_tls_files_that_cannot_be_read_stop_the_start_with_their_name(tmp_path: Path) -> None:
    missing = TlsFiles(certificate=tmp_path / "no.pem", key=tmp_path / "no.key")
    with pytest.raises(BadConfig, match=r"no\.pem: No such file"):
        async with answering(LOCAL, tls=missing):
            pass


@in_loop
async def test_tls_on_a_unix_socket_is_refused_rather_than_ignored(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with pytest.raises(BadConfig, match="guarded by its file mode"):
        async with answering(UnixAddress(path=tmp_path / "fit.sock"), tls=authority.files):
            pass
