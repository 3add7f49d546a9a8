"""AdmissionReview, versions v1 and v1beta1, which have the same fields."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from hami_core.errors import BadWire, shown
from hami_core.wire.json_patch import Operation

VERSIONS = ("admission.k8s.io/v1", "admission.k8s.io/v1beta1")


class UserInfo(msgspec.Struct, kw_only=True, frozen=True):
    """Who sent the request."""

    username: str = ""
    groups: list[str] | None = None


class AdmissionRequest(msgspec.Struct, kw_only=True, rename="camel"):
    """What is asked: an operation on an object, by a user."""

    uid: str
    operation: str = "CREATE"
    namespace: str = ""
    name: str = ""
    sub_resource: str = ""
    user_info: UserInfo = UserInfo()
    object: dict[str, Any] | None = None
    old_object: dict[str, Any] | None = None
    dry_run: bool | None = None


class _Review(msgspec.Struct, kw_only=True, rename="camel"):
    api_version: str = ""
    kind: str = ""
    request: AdmissionRequest | None = None


def decode_review(body: bytes) -> tuple[str, AdmissionRequest]:
    """Decode a review into its version and its request.

    Raises:
        BadWire: not JSON, not an AdmissionReview of a known version, or no request in it.
    """
    what = "admission review"
    try:
        review = msgspec.json.decode(body, type=_Review)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as err:
        raise BadWire(what=what, problem=str(err)) from err
    if review.kind != "AdmissionReview" or review.api_version not in VERSIONS:
        found = shown(f"{review.api_version} {review.kind}")
        raise BadWire(what=what, problem=f"must be an AdmissionReview of {' or '.join(VERSIONS)}; got {found}")
    if review.request is None or not review.request.uid:
        raise BadWire(what=what, problem="has no request with a uid")
    return review.api_version, review.request


def encode_answer(
    version: str, uid: str, *, allowed: bool, message: str | None = None, patch: Sequence[Operation] = ()
) -> bytes:
    """Encode the answer; a message to a refusal is for the person who sent the object."""
    response: dict[str, Any] = {"uid": uid, "allowed": allowed}
    if message and not allowed:
        response["status"] = {"code": 403, "reason": "Forbidden", "message": message}
    if patch:
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(msgspec.json.encode([_plain(step) for step in patch])).decode()
    return msgspec.json.encode({"apiVersion": version, "kind": "AdmissionReview", "response": response})


def _plain(step: Mapping[str, Any]) -> dict[str, Any]:
    return dict(step)
