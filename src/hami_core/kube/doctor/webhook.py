"""The webhook: configured once, its CA valid, and reached by the API server for a pod that asks for a share."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from hami_core.errors import ApiFailed
from hami_core.kube.api import path_of
from hami_core.kube.doctor.look import WEBHOOK, why

if TYPE_CHECKING:
    from hami_core.kube.doctor.finding import Check, Finding
    from hami_core.kube.doctor.look import Item, Look

SOON = timedelta(days=30)
_RENEW = "renew it: helm upgrade with --set scheduler.certificate.rotate=true, or look at cert-manager's Certificate"
# What the API server says of a webhook it cannot use, and what that comes from.
_CURES = (
    ("x509", "the CA of the webhook configuration is not that of the Secret: helm upgrade, or wait for cert-manager"),
    ("certificate", "the CA of the webhook configuration is not that of the Secret: helm upgrade"),
    ("no endpoints", "no replica of hami scheduler is ready: kubectl describe its pods"),
    ("refused", "no replica of hami scheduler listens there: kubectl describe its pods"),
    ("not found", "the Service that the webhook configuration names is gone: helm upgrade"),
    ("deadline exceeded", "the API server cannot reach the pods on port 9443: look at NetworkPolicies and firewalls"),
    ("timeout", "the API server cannot reach the pods on port 9443: look at NetworkPolicies and firewalls"),
)


async def check(look: Look, check: Check) -> Sequence[Finding]:
    """Look at the configuration, then try it."""
    path = path_of("apis", "admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations")
    mine = [
        (item, hook)
        for item in await look.items(path)
        for hook in item.get("webhooks") or ()
        if hook.get("name") == WEBHOOK
    ]
    if not mine:
        return [
            check.problem(
                f"webhook {WEBHOOK}",
                "no MutatingWebhookConfiguration has it: pods that ask for shares go to the default scheduler",
                "helm upgrade with scheduler.admissionWebhook.enabled=true",
            )
        ]
    found = []
    if len(mine) > 1:
        names = ", ".join(item["metadata"]["name"] for item, _ in mine)
        found.append(
            check.problem(f"webhook {WEBHOOK}", f"is configured more than once: {names}", "uninstall the older one")
        )
    for item, hook in mine:
        found.extend(_configured(look, check, item, hook))
    found.append(await _tried(look, check))
    return found


def _configured(look: Look, check: Check, item: Item, hook: Item) -> Iterator[Finding]:
    about = f"MutatingWebhookConfiguration {item['metadata']['name']}"
    if hook.get("failurePolicy") == "Ignore":
        text = "failurePolicy is Ignore: while the webhook is down, pods that ask for shares are let in unchecked"
        yield check.note(about, text, "set scheduler.admissionWebhook.failurePolicy=Fail if that matters")
    bundle = (hook.get("clientConfig") or {}).get("caBundle")
    if not bundle:
        yield check.problem(about, "has no CA", "helm upgrade, or look at cert-manager's CA injector")
        return
    ends = _ends(bundle)
    if ends is None:
        yield check.problem(
            about, "its CA is no PEM certificate", "helm upgrade; or set scheduler.certificate.caBundle"
        )
        return
    day = f"{min(ends):%Y-%m-%d}"
    if min(ends) <= look.now:
        yield check.problem(about, f"its CA ended on {day}", _RENEW)
    elif min(ends) <= look.now + SOON:
        yield check.problem(about, f"its CA ends on {day}", _RENEW)
    else:
        yield check.ok(about, f"its CA is valid until {day}")


def _ends(bundle: str) -> list[Any] | None:
    """When each certificate of a bundle ends; None where there is none that can be read."""
    from cryptography import x509  # noqa: PLC0415 - a third of this command's start

    try:
        certificates = x509.load_pem_x509_certificates(base64.b64decode(bundle, validate=True))
    except ValueError:
        return None
    return [certificate.not_valid_after_utc for certificate in certificates]


async def _tried(look: Look, check: Check) -> Finding:
    """Have a pod created in a dry run: whatever stands between the API server and us shows."""
    about = "a pod that asks for a share, as a dry run"
    families = (await look.registry()).families.values()
    resource = next(loaded.family.resources.count for loaded in families)
    home = await look.home()
    name = "hami-scheduler" if home is None else home.scheduler_name
    try:
        made = await look.post(path_of("api", "v1", "namespaces", "default", "pods") + "?dryRun=All", _pod(resource))
    except ApiFailed as err:
        text = why(err)
        if "failed calling webhook" in text:
            cure = next((cure for words, cure in _CURES if words in text), "see the log of hami scheduler")
            return check.problem(about, text, cure)
        if err.status == 403:  # noqa: PLR2004 - HTTP
            return check.unknown(about, text, "run hami doctor as a user that may create pods in namespace default")
        return check.unknown(about, text, "see what the API server says")
    given = (made.get("spec") or {}).get("schedulerName")
    if given != name:
        return check.problem(
            about,
            f"was left to scheduler {given}, not given to {name}: the webhook was not asked",
            "look at the webhook's namespaceSelector and matchConditions, and whether its resource names are yours",
        )
    return check.ok(about, f"was given to scheduler {name}")


def _pod(resource: str) -> Item:
    security = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {
        "name": "try",
        "image": "none",
        "resources": {"limits": {resource: "1"}},
        "securityContext": security,
    }
    metadata = {"generateName": "hami-doctor-", "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}
