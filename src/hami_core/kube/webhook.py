"""The webhook: a review in, an answer out. It keeps nothing and writes nothing, so a dry run is like any other."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hami_core.admission import AdmissionSettings, admit
from hami_core.errors import BadWire
from hami_core.placement import BIND_PHASE, BIND_TIME, NODE, TIME
from hami_core.quota import exceeded
from hami_core.wire.admission_review import AdmissionRequest, UserInfo, decode_review, encode_answer
from hami_core.wire.partitions import PARTITIONS
from hami_core.wire.resize import APPLIED, RESIZED

if TYPE_CHECKING:
    from collections.abc import Callable

    from hami_core.kube.cache import Cache
    from hami_core.model import PodRequest
    from hami_core.registry import Registry

_OURS = (NODE, TIME, BIND_PHASE, BIND_TIME, PARTITIONS, RESIZED, APPLIED)
_NODES = "system:nodes"


class Webhook:
    """Answers admission reviews of pods.

    Args:
        cache: gives the families, and the quotas once it is synced.
        settings: how admission was set up.
        trusted: users that may write what a bind writes; shell patterns.
        synced: whether the cache has seen the whole cluster.
    """

    def __init__(
        self,
        cache: Callable[[], Cache],
        settings: AdmissionSettings,
        *,
        trusted: Sequence[str],
        synced: Callable[[], bool],
    ) -> None:
        self._cache = cache
        self._settings = settings
        self.trusted = list(trusted)
        self._synced = synced

    def review(self, body: bytes) -> bytes:
        """Answer one review.

        Raises:
            BadWire: not a review.
        """
        version, request = decode_review(body)
        forged = self._forged(request)
        if forged:
            return encode_answer(version, request.uid, allowed=False, message=forged)
        if request.operation != "CREATE" or request.sub_resource or request.object is None:
            return encode_answer(version, request.uid, allowed=True)
        pod = _named(request.object, request)
        try:
            admission = admit(pod, self._cache().registry, self._settings, over_quota=self._over_quota)
        except BadWire as err:
            return encode_answer(version, request.uid, allowed=False, message=str(err))
        return encode_answer(
            version, request.uid, allowed=admission.admitted, message=admission.message, patch=admission.patch
        )

    def _over_quota(self, request: PodRequest) -> tuple[str, ...]:
        if not self._synced():
            return ()  # what is used is not known yet; filter checks once it is
        cache = self._cache()
        limits, used = cache.fleet.quota(request.namespace)
        return exceeded(request, cache.registry, limits=limits, used=used) if limits else ()

    def _forged(self, request: AdmissionRequest) -> str:
        """Why the annotations of this pod must not come from this user; empty when they may."""
        if request.operation not in ("CREATE", "UPDATE") or self._trusts(request.user_info):
            return ""
        ours = owned_keys(self._cache().registry)
        before, after = _marks(request.old_object, ours), _marks(request.object, ours)
        changed = sorted(key for key in {*before, *after} if before.get(key) != after.get(key))
        if not changed:
            return ""
        keys = ", ".join(changed)
        return (
            f"{keys} say which devices a pod was given and are written by the scheduler alone, not by "
            f"{request.user_info.username or 'users'}; remove them from the pod "
            "(a manifest made from a running pod has them)"
        )

    def _trusts(self, user: UserInfo) -> bool:
        if _NODES in (user.groups or ()):
            return True
        return any(fnmatch.fnmatchcase(user.username, pattern) for pattern in self.trusted)


def owned_keys(registry: Registry) -> frozenset[str]:
    """Annotations, and one label, that only schedulers and device plugins write."""
    wires = [loaded.family.wire for loaded in registry.families.values()]
    families = {key for wire in wires for key in (wire.allocated, wire.to_allocate) if key}
    return frozenset({*_OURS, *families})


def _marks(pod: Mapping[str, Any] | None, keys: frozenset[str]) -> dict[str, object]:
    metadata = (pod or {}).get("metadata")
    found: dict[str, object] = {}
    for part in ("annotations", "labels"):
        values = metadata.get(part) if isinstance(metadata, Mapping) else None
        if isinstance(values, Mapping):
            found |= {f"{part[:-1]} {key}": value for key, value in values.items() if key in keys}
    return found


def _named(pod: dict[str, Any], request: AdmissionRequest) -> dict[str, Any]:
    """The pod with the namespace of the request, which the object may not say yet."""
    metadata = pod.get("metadata")
    if not isinstance(metadata, dict) or metadata.get("namespace") or not request.namespace:
        return pod
    return {**pod, "metadata": {**metadata, "namespace": request.namespace}}
