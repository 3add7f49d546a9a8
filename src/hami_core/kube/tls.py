"""TLS of the server, read anew when the files change: a renewed certificate needs no restart."""

from __future__ import annotations

import asyncio
import logging
import ssl
from datetime import UTC, datetime
from pathlib import Path

import attrs

from hami_core.errors import BadConfig

_EVERY_S = 2.0
_log = logging.getLogger(__name__)

Stamp = tuple[tuple[int, int, int], ...]


def stamp(*paths: Path) -> Stamp:
    """What changes when a file is written or replaced, also behind a symbolic link. Raises OSError."""
    return tuple((info.st_ino, info.st_mtime_ns, info.st_size) for info in (path.stat() for path in paths))


@attrs.define
class TlsFiles:
    """A PEM chain and its key, and the context that serves them."""

    certificate: Path
    key: Path
    context: ssl.SSLContext = attrs.field(
        init=False, factory=lambda: ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    )
    reloads: int = attrs.field(init=False, default=0)
    _seen: Stamp = attrs.field(init=False, default=())

    def load(self) -> None:
        """Read the files.

        Raises:
            BadConfig: they cannot be read, or do not belong together.
        """
        try:
            seen = stamp(self.certificate, self.key)
            self.context.load_cert_chain(self.certificate, self.key)
        except (OSError, ValueError) as err:  # ssl.SSLError is an OSError
            raise BadConfig(file=str(self.certificate), problem=f"is no certificate with that key: {err}") from err
        self._seen = seen

    @property
    def expires(self) -> datetime | None:
        """When the certificate ends; None where it cannot be read now."""
        from cryptography import x509  # noqa: PLC0415 - for the metric alone

        try:
            found = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        except (OSError, ValueError):
            return None
        return found.not_valid_after_utc.astimezone(UTC)

    async def follow(self) -> None:
        """Read the files again whenever they change, until cancelled. Broken ones leave the old in use."""
        while True:
            await asyncio.sleep(_EVERY_S)
            try:
                changed = stamp(self.certificate, self.key) != self._seen
            except OSError:
                continue  # being replaced: the next look finds them
            if changed:
                try:
                    # A context of its own first: a chain and a key that do not match must not half replace the old.
                    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(self.certificate, self.key)
                    self.load()
                except (BadConfig, OSError, ValueError) as err:
                    _log.warning("the certificate in use is kept: %s", err)
                else:
                    self.reloads += 1
                    _log.info("the certificate was renewed from %s", self.certificate)
