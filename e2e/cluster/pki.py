"""The keys and certificates of one cluster, made by the openssl program and valid for ten years."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.errors import MachineError

_DAYS = "3650"

# Extensions are spelled out since Python 3.13 refuses certificates without key usage and key identifiers.
_CA_EXTENSIONS = """\
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""
_LEAF_EXTENSIONS = """\
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = {usage}
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


@dataclass(frozen=True)
class Pki:
    """The files of a cluster's keys, below one folder."""

    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "ca.crt"

    @property
    def service_account_key(self) -> Path:
        return self.folder / "service-account.key"

    def certificate(self, name: str) -> Path:
        return self.folder / f"{name}.crt"

    def key(self, name: str) -> Path:
        return self.folder / f"{name}.key"


def make(pki: Pki, addresses: Sequence[str]) -> None:
    """Make the CA, the API server's serving certificate for these addresses, and its client certificate for kubelet."""
    pki.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    names = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
    alternatives = [f"DNS:{name}" for name in names] + [f"IP:{address}" for address in addresses]
    serving = _LEAF_EXTENSIONS.format(usage="serverAuth") + f"subjectAltName = {', '.join(alternatives)}\n"
    _sign(pki, "ca", "/CN=modelcycle-ca", _CA_EXTENSIONS)
    _sign(pki, "apiserver", "/CN=kube-apiserver", serving)
    _sign(pki, "kubelet-client", "/O=system:masters/CN=kube-apiserver", _LEAF_EXTENSIONS.format(usage="clientAuth"))
    _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(pki.service_account_key))


def _sign(pki: Pki, name: str, subject: str, extensions: str) -> None:
    config = pki.folder / f"{name}.cnf"
    config.write_text(f"[req]\ndistinguished_name = none\nx509_extensions = wanted\n[none]\n[wanted]\n{extensions}")
    signer = [] if name == "ca" else ["-CA", str(pki.ca), "-CAkey", str(pki.key("ca"))]
    _openssl(
        *("req", "-x509", "-new", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
        *("-config", str(config), "-subj", subject, "-days", _DAYS, *signer),
        *("-keyout", str(pki.key(name)), "-out", str(pki.certificate(name))),
    )
    config.unlink()


def _openssl(*arguments: str) -> None:
    if shutil.which("openssl") is None:
        raise MachineError("the openssl program is missing", do="apt-get install openssl, or what your system has")
    answer = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    if answer.returncode:
        raise MachineError(f"openssl {arguments[0]} failed: {answer.stderr.strip()}", do="openssl 3 or newer is needed")
