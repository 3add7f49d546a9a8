"""etcd, kube-apiserver, kube-controller-manager and kube-scheduler on loopback, with a CA of their own."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx
import trustme
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.cluster.api import Api
from tests.cluster.audit import POLICY, AuditLog
from tests.cluster.processes import Service, free_port

ADMIN_TOKEN = "admin"
USER_TOKEN = "user"  # someone who may create pods and read, no more: RBAC is given by the tests


def node_token(node: str) -> str:
    """The token of a node's kubelet."""
    return f"node-{node}"


class ControlPlane:
    """The four components. `start` before use, `stop` always.

    Args:
        binaries: where they are.
        folder: for their files and logs.
        etcd: where that one is, if not with the others.
        nodes: names of nodes whose kubelets will join, each with the token `node_token` of it.
    """

    def __init__(self, binaries: Path, folder: Path, *, etcd: Path | None = None, nodes: Iterable[str] = ()) -> None:
        self.binaries = binaries
        self._etcd_binary = etcd or binaries / "etcd"
        self._nodes = tuple(nodes)
        self.folder = folder
        self.logs = folder / "logs"
        self.logs.mkdir(parents=True)
        self.authority = trustme.CA()
        self.ca = folder / "ca.pem"
        self.authority.cert_pem.write_to_path(self.ca)
        self.services: dict[str, Service] = {}
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self._keys()
        self.admin_kubeconfig = self.kubeconfig("admin", ADMIN_TOKEN)
        self.api = Api(self.url, ADMIN_TOKEN, self.ca)
        self.audit = AuditLog(folder / "audit.log")

    def start(self) -> None:
        """Start the components that need no configuration of ours, and wait until they serve."""
        self._start_etcd()
        apiserver = self._apiserver()
        apiserver.start()
        apiserver.wait_ready(self.api.ready, timeout_s=120)
        self._start_controller_manager()
        self.api.wait(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "default"}},
            "exists",
            timeout_s=60,
        )

    def start_scheduler(self, config: Mapping[str, Any], token: str) -> None:
        """Start kube-scheduler under a KubeSchedulerConfiguration, as the user of `token`."""
        port = free_port()
        file = self.folder / "kube-scheduler.yaml"
        connection = {"kubeconfig": str(self.kubeconfig("kube-scheduler", token)), "qps": 500, "burst": 1000}
        file.write_text(yaml.safe_dump({**config, "clientConnection": connection}))
        service = self.service(
            "kube-scheduler",
            self.binaries / "kube-scheduler",
            f"--config={file}",
            f"--secure-port={port}",
            "--bind-address=127.0.0.1",
            f"--cert-dir={self.folder / 'kube-scheduler-certs'}",
            "-v=2",
        )
        service.start()
        service.wait_ready(lambda: _healthy(port))

    def stop(self) -> None:
        """Stop what was started, the last first."""
        self.api.close()
        for service in reversed(self.services.values()):
            service.kill()

    def service(self, name: str, *argv: object, env: Mapping[str, str] | None = None) -> Service:
        """A program whose log is kept with the others and that is stopped with them."""
        made = Service(name, [str(word) for word in argv], self.logs / f"{name}.log", env)
        self.services[name] = made
        return made

    def restart_apiserver(self) -> None:
        """Kill the API server, and bring it back on the same port with the same data."""
        apiserver = self.services["kube-apiserver"]
        apiserver.kill()
        apiserver.start()
        apiserver.wait_ready(self.api.ready, timeout_s=120)

    def revive_scheduler(self) -> None:
        """Start kube-scheduler again if it ended, as it does when it could not renew its Lease in time.

        In a cluster its Deployment sees to that.
        """
        if "kube-scheduler" in self.services:
            self.services["kube-scheduler"].revive()

    def tails(self) -> str:
        """The end of every log."""
        ours = ("hami", "kube-scheduler")  # what usually tells; the others' logs are long and seldom do
        tails = (service.tail(100 if name.startswith(ours) else 15) for name, service in self.services.items())
        return "\n".join(tails)

    def certificate(self, name: str, *hosts: str) -> tuple[Path, Path]:
        """A server certificate of our CA for these hosts: its files, chain and key."""
        issued = self.authority.issue_cert(*hosts)
        cert, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        cert.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        key.write_bytes(issued.private_key_pem.bytes())
        key.chmod(0o600)
        return cert, key

    def kubeconfig(self, name: str, token: str) -> Path:
        """A kubeconfig for the holder of a token."""
        file = self.folder / f"{name}.kubeconfig"
        file.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": name,
                    "clusters": [
                        {"name": "tests", "cluster": {"server": self.url, "certificate-authority": str(self.ca)}}
                    ],
                    "users": [{"name": name, "user": {"token": token}}],
                    "contexts": [{"name": name, "context": {"cluster": "tests", "user": name}}],
                }
            )
        )
        file.chmod(0o600)
        return file

    def token_of(self, namespace: str, service_account: str) -> str:
        """A token of a service account, as a pod under it would have."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token"
        answer = self.api.call("POST", path, {"spec": {"expirationSeconds": 3600}})
        token: str = answer["status"]["token"]
        return token

    def _keys(self) -> None:
        self._serving = self.certificate("apiserver", "127.0.0.1", "localhost", "kubernetes.default.svc", "10.0.0.1")
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._accounts_key, self._accounts_public = self.folder / "sa.key", self.folder / "sa.pub"
        self._accounts_key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        self._accounts_public.write_bytes(
            key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
        self._tokens = self.folder / "tokens.csv"
        with self._tokens.open("w", newline="") as file:
            rows = [[ADMIN_TOKEN, "admin", "1", "system:masters"], [USER_TOKEN, "user", "2", "tests:users"]]
            rows += [[node_token(node), f"system:node:{node}", node, "system:nodes"] for node in self._nodes]
            csv.writer(file).writerows(rows)

    def _start_etcd(self) -> None:
        client, peer = free_port(), free_port()
        self._etcd = f"http://127.0.0.1:{client}"
        etcd = self.service(
            "etcd",
            self._etcd_binary,
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={self._etcd}",
            f"--advertise-client-urls={self._etcd}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        )
        etcd.start()
        etcd.wait_ready(lambda: httpx.get(f"{self._etcd}/health", trust_env=False).json().get("health") == "true")

    def _apiserver(self) -> Service:
        cert, key = self._serving
        policy = self.folder / "audit-policy.yaml"
        policy.write_text(yaml.safe_dump(POLICY))
        return self.service(
            "kube-apiserver",
            self.binaries / "kube-apiserver",
            f"--etcd-servers={self._etcd}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self.port}",
            "--service-cluster-ip-range=10.0.0.0/24",
            f"--tls-cert-file={cert}",
            f"--tls-private-key-file={key}",
            f"--client-ca-file={self.ca}",
            f"--requestheader-client-ca-file={self.ca}",
            "--requestheader-allowed-names=nobody",
            f"--token-auth-file={self._tokens}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self._accounts_public}",
            f"--service-account-signing-key-file={self._accounts_key}",
            "--endpoint-reconciler-type=none",
            f"--audit-policy-file={policy}",
            f"--audit-log-path={self.audit.file}",
            "--audit-log-mode=blocking",  # what a test did is there when it looks
            f"--cert-dir={self.folder / 'apiserver-certs'}",
            "-v=0",
        )

    def _start_controller_manager(self) -> None:
        port = free_port()
        manager = self.service(
            "kube-controller-manager",
            self.binaries / "kube-controller-manager",
            f"--kubeconfig={self.admin_kubeconfig}",
            f"--authentication-kubeconfig={self.admin_kubeconfig}",
            f"--authorization-kubeconfig={self.admin_kubeconfig}",
            "--leader-elect=false",
            f"--service-account-private-key-file={self._accounts_key}",
            f"--root-ca-file={self.ca}",
            f"--secure-port={port}",
            "--bind-address=127.0.0.1",
            f"--cert-dir={self.folder / 'kcm-certs'}",
            # Nodes here have no kubelet: nobody renews their leases, and nobody should be evicted for that.
            "--controllers=*,-node-lifecycle-controller",
            "-v=0",
        )
        manager.start()
        manager.wait_ready(lambda: _healthy(port))


def _healthy(port: int) -> bool:
    return httpx.get(f"https://127.0.0.1:{port}/healthz", verify=False, trust_env=False).is_success
