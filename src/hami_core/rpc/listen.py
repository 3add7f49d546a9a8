"""Where the service listens: a Unix socket for this user, or TCP, which wants TLS anywhere but on the loopback."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import attrs
import grpc

from hami_core.errors import BadConfig, HamiError, shown
from hami_core.rpc.tls import TlsFiles, server_credentials

PLACE = "--listen"
SOCKET_MODE = 0o600
# sockaddr_un holds 108 bytes with the closing NUL (unix(7)). The socket is made in a private folder beside its place.
_MAX_PATH_BYTES = 107
_PRIVATE_NAME_BYTES = len("/.hami-12345678/s")
_MAX_PORT = 65_535


@attrs.frozen(kw_only=True)
class UnixAddress:
    """A socket file, written ``unix:/path``."""

    path: Path

    def __str__(self) -> str:
        return f"unix:{self.path}"


@attrs.frozen(kw_only=True)
class TcpAddress:
    """A host and port, written ``127.0.0.1:7412`` or ``[::1]:7412``; port 0 takes a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it. A name other than localhost could mean anything."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


Address = UnixAddress | TcpAddress


class CannotListen(HamiError):
    """The address is in use, or this user may not use it."""

    def __init__(self, *, address: Address, problem: str) -> None:
        self.address = address
        self.problem = problem
        super().__init__(address, problem)

    def __str__(self) -> str:
        return f"cannot listen on {self.address}: {self.problem}"


def parse_address(text: str) -> Address:
    """Read an address as people write it.

    Raises:
        BadConfig: neither of the two forms.
    """
    if text.startswith("unix:"):
        path = text.removeprefix("unix:").removeprefix("//")
        if not path.startswith("/"):
            raise BadConfig(
                file=PLACE, problem=f"a Unix socket needs an absolute path, unix:/run/x.sock; got {shown(text)}"
            )
        return UnixAddress(path=Path(path))
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    bare_ipv6 = ":" in host and not text.startswith("[")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) <= _MAX_PORT) or bare_ipv6:
        problem = f"must be unix:/path, HOST:PORT or [IPv6]:PORT; got {shown(text)}"
        raise BadConfig(file=PLACE, problem=problem)
    return TcpAddress(host=host, port=int(port))


@contextlib.contextmanager
def listening(
    server: grpc.aio.Server, address: Address, *, tls: TlsFiles | None = None, insecure: bool = False
) -> Iterator[Address]:
    """Bind `server` to `address`, and yield the address as it really is. A socket file goes away with the block.

    Args:
        server: not started yet.
        address: where to listen.
        tls: certificate and key; only for TCP.
        insecure: listen without TLS where other machines can reach it.

    Raises:
        BadConfig: the combination is refused: TLS on a Unix socket, or none on an open port.
        CannotListen: the address is taken or not permitted.
    """
    if isinstance(address, UnixAddress):
        if tls is not None:
            raise BadConfig(
                file=PLACE, problem="a Unix socket is guarded by its file mode; drop --tls-cert and --tls-key"
            )
        with _socket_file(server, address):
            yield address
        return
    if tls is None and not (address.loopback or insecure):
        problem = f"{address} can be reached from other machines; add --tls-cert and --tls-key, or say --insecure"
        raise BadConfig(file=PLACE, problem=problem)
    try:
        if tls is None:
            port = server.add_insecure_port(str(address))
        else:
            port = server.add_secure_port(str(address), server_credentials(tls))
    except RuntimeError as err:  # grpc says no more than that, on stderr it does
        raise CannotListen(address=address, problem="in use, or not an address of this machine") from err
    yield attrs.evolve(address, port=port)


@contextlib.contextmanager
def _socket_file(server: grpc.aio.Server, address: UnixAddress) -> Iterator[None]:
    """Make the socket so that at no moment anyone else can connect, and never over something that is in use.

    It is bound in a folder of mode 0700, narrowed there, and only then linked to its place; `link` refuses an existing
    name, so of two servers that start at once one gets it.
    """
    path = address.path
    longest = max(len(bytes(path)), len(bytes(path.parent)) + _PRIVATE_NAME_BYTES)
    if longest > _MAX_PATH_BYTES:
        problem = f"the path is too long for a socket by {longest - _MAX_PATH_BYTES} bytes"
        raise CannotListen(address=address, problem=problem)
    try:
        _remove_stale(address)
        with tempfile.TemporaryDirectory(prefix=".hami-", dir=path.parent) as private:
            made = Path(private) / "s"
            server.add_insecure_port(f"unix:{made}")
            made.chmod(SOCKET_MODE)
            path.hardlink_to(made)
            mine = path.lstat()
    except RuntimeError as err:
        raise CannotListen(address=address, problem="the socket could not be bound") from err
    except OSError as err:
        raise CannotListen(address=address, problem=err.strerror or str(err)) from err
    try:
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            found = path.lstat()
            if (found.st_dev, found.st_ino) == (mine.st_dev, mine.st_ino):
                path.unlink()


def _remove_stale(address: UnixAddress) -> None:
    """Remove a socket that no process listens on any more (its server was killed)."""
    try:
        mode = address.path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise CannotListen(address=address, problem="there is a file of that name, and it is not a socket")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(0)  # a server with a full backlog answers EAGAIN at once
        outcome = probe.connect_ex(str(address.path))
    if outcome != errno.ECONNREFUSED:
        raise CannotListen(address=address, problem="another server listens there")
    address.path.unlink(missing_ok=True)
