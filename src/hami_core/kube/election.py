"""Leader election by a Lease: of several processes one decides, and it stops before another can begin."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import msgspec

from hami_core.errors import ApiFailed
from hami_core.kube.api import ApiServer, path_of
from hami_core.kube.settings import ElectionSettings

_NOT_FOUND = 404
_CONFLICT = 409
_log = logging.getLogger(__name__)


class _Spec(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    holder_identity: str = ""
    lease_duration_seconds: int = 0
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int = 0


class _Lease(msgspec.Struct, kw_only=True):
    metadata: dict[str, object]
    spec: _Spec = msgspec.field(default_factory=_Spec)


class Elector:
    """Campaigns for a Lease, and says whether it is held.

    Args:
        api: the server.
        settings: which Lease, and the times; None leads at once and always.
    """

    def __init__(self, api: ApiServer, settings: ElectionSettings | None) -> None:
        self._api = api
        self._settings = settings
        self._renewed_s = float("-inf")
        self._observed: tuple[str, str | None] = ("", None)
        self._observed_s = float("-inf")
        self.leader = ""
        self.gained_s = float("-inf")  # since when it leads, on the monotonic clock
        self.gained = asyncio.Event()
        self.tried = asyncio.Event()
        if settings is None:
            self.gained.set()
            self.tried.set()

    @property
    def leads(self) -> bool:
        """Whether this process may decide. Ends by the clock alone when the Lease cannot be renewed."""
        if self._settings is None:
            return True
        return time.monotonic() - self._renewed_s < self._settings.renew_deadline_s

    async def run(self) -> None:
        """Campaign until cancelled; then give the Lease back."""
        settings = self._settings
        if settings is None:
            await asyncio.Event().wait()
            return
        try:
            while True:
                began_s = time.monotonic()
                held = await self._try(settings)
                if held:
                    if not self.leads:
                        _log.info("this process leads, as %s", settings.identity)
                        self.gained_s = time.monotonic()
                        self.gained.set()
                    self._renewed_s = began_s
                elif not self.leads and self.gained.is_set():
                    _log.warning("this process leads no more; %s does", self.leader or "nobody")
                    self.gained.clear()
                self.tried.set()
                await asyncio.sleep(settings.retry_s)
        finally:
            if self.leads:
                self._renewed_s = float("-inf")
                with contextlib.suppress(ApiFailed, TimeoutError):
                    async with asyncio.timeout(2):
                        await asyncio.shield(self._give_back(settings))

    async def _try(self, settings: ElectionSettings) -> bool:
        try:
            async with asyncio.timeout(settings.renew_deadline_s):
                return await self._acquire(settings)
        except (ApiFailed, TimeoutError) as err:
            if not (isinstance(err, ApiFailed) and err.status == _CONFLICT):
                _log.warning("the Lease %s/%s was not renewed: %s", settings.namespace, settings.name, err)
            return False

    async def _acquire(self, settings: ElectionSettings) -> bool:
        lease = await self._read(settings)
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        mine = _Spec(
            holder_identity=settings.identity, lease_duration_seconds=settings.lease_s, acquire_time=now, renew_time=now
        )
        if lease is None:
            metadata: dict[str, object] = {"name": settings.name, "namespace": settings.namespace}
            await self._api.post(self._path(settings, named=False), self._body(metadata, mine))
            self.leader = settings.identity
            return True
        spec = lease.spec
        # Another machine's clock says nothing: what counts is how long we have seen the record unchanged.
        if (spec.holder_identity, spec.renew_time) != self._observed:
            self._observed = spec.holder_identity, spec.renew_time
            self._observed_s = time.monotonic()
        self.leader = spec.holder_identity
        held = spec.holder_identity == settings.identity
        free = not spec.holder_identity or time.monotonic() - self._observed_s >= (
            spec.lease_duration_seconds or settings.lease_s
        )
        if not held and not free:
            return False
        mine.lease_transitions = spec.lease_transitions + (not held)
        mine.acquire_time = spec.acquire_time if held else now
        await self._api.put(self._path(settings), self._body(lease.metadata, mine))
        self.leader = settings.identity
        return True

    async def _read(self, settings: ElectionSettings) -> _Lease | None:
        try:
            return msgspec.json.decode(await self._api.get(self._path(settings), timeout_s=5), type=_Lease)
        except ApiFailed as err:
            if err.status == _NOT_FOUND:
                return None
            raise

    async def _give_back(self, settings: ElectionSettings) -> None:
        lease = await self._read(settings)
        if lease is not None and lease.spec.holder_identity == settings.identity:
            lease.spec.holder_identity = ""
            lease.spec.lease_duration_seconds = 1
            await self._api.put(self._path(settings), self._body(lease.metadata, lease.spec))

    @staticmethod
    def _path(settings: ElectionSettings, *, named: bool = True) -> str:
        name = (settings.name,) if named else ()
        return path_of("apis", "coordination.k8s.io", "v1", "namespaces", settings.namespace, "leases", *name)

    @staticmethod
    def _body(metadata: dict[str, object], spec: _Spec) -> dict[str, object]:
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}


@contextlib.asynccontextmanager
async def campaigning(elector: Elector) -> AsyncIterator[Elector]:
    """Campaign inside the block; the Lease is given back at its end."""
    task = asyncio.create_task(elector.run())
    try:
        yield elector
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
