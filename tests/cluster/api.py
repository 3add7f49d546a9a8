"""A small client of the API server: objects are the dicts that YAML and JSON give."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml
from tests.cluster.processes import wait_for

Object = dict[str, Any]

_PLURALS = {
    "Endpoints": "endpoints",
    "NetworkPolicy": "networkpolicies",
    "RuntimeClass": "runtimeclasses",
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
}
_CLUSTER_WIDE = frozenset(
    {
        "ClusterRole",
        "ClusterRoleBinding",
        "MutatingWebhookConfiguration",
        "Namespace",
        "Node",
        "RuntimeClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
    }
)
_MERGE = {"content-type": "application/merge-patch+json"}


class Refused(AssertionError):
    """The API server answered with an error; `status` is the HTTP status, `message` what it says."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class Api:
    """Calls as one user. Safe to share between threads."""

    def __init__(self, url: str, token: str, ca: Path) -> None:
        self.url = url
        self.token = token
        self._http = httpx.Client(
            base_url=url,
            verify=ssl.create_default_context(cafile=str(ca)),
            headers={"authorization": f"Bearer {token}"},
            timeout=30,
            trust_env=False,
        )

    def close(self) -> None:
        self._http.close()

    def call(self, method: str, path: str, body: object = None, **kwargs: Any) -> Object:
        """One request.

        Raises:
            Refused: any answer but 2xx.
        """
        content = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json", **kwargs.pop("headers", {})}
        answer = self._http.request(method, path, content=content, headers=headers, **kwargs)
        if answer.is_success:
            return answer.json() if answer.headers.get("content-type", "").startswith("application/json") else {}
        try:
            message = answer.json()["message"]
        except (ValueError, KeyError, TypeError):
            message = answer.text
        raise Refused(answer.status_code, message)

    def ready(self) -> bool:
        """Whether the API server says that it is."""
        return self._http.get("/readyz").is_success

    def create(self, item: Object) -> Object:
        return self.call("POST", collection(item), item)

    def apply(self, item: Object, *, dry_run: bool = False) -> Object:
        """Server-side apply, every field ours; unknown fields are errors."""
        query = {"fieldManager": "tests", "force": "true", "fieldValidation": "Strict"}
        if dry_run:
            query["dryRun"] = "All"
        headers = {"content-type": "application/apply-patch+yaml"}
        return self.call("PATCH", path_of(item), item, params=query, headers=headers)

    def get(self, item: Object) -> Object | None:
        """The object as it is now; None when there is none."""
        try:
            return self.call("GET", path_of(item))
        except Refused as err:
            if err.status == 404:
                return None
            raise

    def patch(self, item: Object, change: Object, *, subresource: str = "") -> Object:
        """A merge patch."""
        return self.call("PATCH", path_of(item) + subresource, change, headers=_MERGE)

    def delete(self, item: Object) -> None:
        """Gone at once, without a grace period; nothing happens when it is not there."""
        try:
            self.call("DELETE", path_of(item), {"gracePeriodSeconds": 0, "propagationPolicy": "Background"})
        except Refused as err:
            if err.status != 404:
                raise

    def list(
        self,
        kind: str,
        namespace: str | None = None,
        *,
        api_version: str = "v1",
        selector: Mapping[str, str] | None = None,
    ) -> list[Object]:
        """All objects of a kind, of one namespace or of all; with these labels."""
        item: Object = {"apiVersion": api_version, "kind": kind, "metadata": {"namespace": namespace}}
        if namespace is None and kind not in _CLUSTER_WIDE:
            path = _root(api_version) + "/" + _plural(kind)
        else:
            path = collection(item)
        labels = ",".join(f"{key}={value}" for key, value in (selector or {}).items())
        found: list[Object] = self.call("GET", path, params={"labelSelector": labels})["items"]
        return found

    def wait(
        self, item: Object, what: str, look: Callable[[Object], object] = bool, *, timeout_s: float = 90.0
    ) -> Object:
        """The object, once `look` says yes to it.

        Raises:
            NotReady: not in time; the message carries the object's status and its events.
        """

        def check() -> Object | None:
            found = self.get(item)
            return found if found is not None and look(found) else None

        name = f"{item['kind']} {item['metadata']['name']} {what}"
        try:
            return wait_for(name, check, timeout_s=timeout_s)
        except AssertionError as err:
            now = self.get(item) or {}
            metadata = now.get("metadata", {})
            node = now.get("spec", {}).get("nodeName")
            seen = {"annotations": metadata.get("annotations"), "nodeName": node, "status": now.get("status")}
            events = "\n".join(self.events(item))
            raise type(err)(f"{err}\n{yaml.safe_dump(seen)}\nevents:\n{events}") from err

    def events(self, item: Object) -> list[str]:
        """What was said about the object: ``reason: message``, oldest first."""
        namespace = item["metadata"].get("namespace", "default")
        mine = [
            event
            for event in self.list("Event", namespace)
            if event["involvedObject"].get("name") == item["metadata"]["name"]
        ]
        mine.sort(key=lambda event: event["metadata"]["creationTimestamp"])
        return [f"{event['reason']}: {event.get('message', '')}" for event in mine]


def documents(text: str) -> Iterator[Object]:
    """The objects of a YAML stream."""
    for item in yaml.safe_load_all(text):
        if item:
            yield item


def collection(item: Mapping[str, Any]) -> str:
    """Where objects of that kind and namespace are created."""
    root, kind = _root(item["apiVersion"]), item["kind"]
    if kind in _CLUSTER_WIDE:
        return f"{root}/{_plural(kind)}"
    return f"{root}/namespaces/{item['metadata'].get('namespace') or 'default'}/{_plural(kind)}"


def path_of(item: Mapping[str, Any]) -> str:
    """Where that object is."""
    return f"{collection(item)}/{item['metadata']['name']}"


def _root(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def _plural(kind: str) -> str:
    return _PLURALS.get(kind, kind.lower() + "s")
