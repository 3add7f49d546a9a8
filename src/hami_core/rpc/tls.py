"""TLS for the TCP listener, read anew when the files change, so that a renewed certificate needs no restart."""

from __future__ import annotations

import logging
from pathlib import Path

import attrs
import grpc

from hami_core.errors import BadConfig

_log = logging.getLogger(__name__)

Stamp = tuple[tuple[int, int, int], ...]


@attrs.frozen(kw_only=True)
class TlsFiles:
    """PEM files: the server's certificate chain, its key, and the CA that clients must come from, if they must."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that are there to be watched."""
        return tuple(path for path in (self.certificate, self.key, self.client_ca) if path is not None)


def server_credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """Credentials that follow the files. With a client CA, a client without a certificate of it is turned away.

    Raises:
        BadConfig: a file cannot be read now.
    """
    source = _Source(files)
    return grpc.dynamic_ssl_server_credentials(
        source.first(),
        source.renewed,  # type: ignore[arg-type] # None means "no change"; the stub leaves that out
        require_client_authentication=files.client_ca is not None,
    )


class _Source:
    """Reads the files once, and again when one of them is another file or has another time or size."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._seen: Stamp = ()

    def first(self) -> grpc.ServerCertificateConfiguration:
        try:
            self._seen = self._stamp()
            return self._read()
        except OSError as err:
            raise BadConfig(file=str(err.filename), problem=err.strerror or str(err)) from err

    def renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """For each handshake: the new configuration, or None to keep the one in use."""
        try:
            stamp = self._stamp()
            if stamp == self._seen:
                return None
            self._seen = stamp
            return self._read()
        except OSError as err:  # half replaced: the next handshake looks again
            self._seen = ()
            _log.warning("the TLS files cannot be read, keeping those in use: %s", err)
            return None

    def _stamp(self) -> Stamp:
        stats = (path.stat() for path in self._files.paths)
        return tuple((info.st_ino, info.st_mtime_ns, info.st_size) for info in stats)

    def _read(self) -> grpc.ServerCertificateConfiguration:
        files = self._files
        return grpc.ssl_server_certificate_configuration(
            [(files.key.read_bytes(), files.certificate.read_bytes())],
            root_certificates=None if files.client_ca is None else files.client_ca.read_bytes(),
        )
