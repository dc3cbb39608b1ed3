"""How to reach the API server, and who we are there: from the pod's service account, or from a kubeconfig."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path

import yaml
from kubernetes.aio import config
from kubernetes.aio.client import Configuration

from modelcycle.errors import Unusable

# How long credentials are used before they are read again. A service account's token lives for an hour, and the kubelet
# replaces the file well before that.
TOKEN_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Credentials:
    """One moment's credentials. ``authorization`` is a whole header, e.g. ``Bearer ...``."""

    server: str
    authorization: str | None = None
    ca_path: str | None = None
    certificate_path: str | None = None
    key_path: str | None = None
    verify: bool = True

    def ssl_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca_path)
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate_path:
            context.load_cert_chain(self.certificate_path, self.key_path)
        return context


class CredentialSource:
    """Reads credentials anew whenever it is asked; ``kubeconfig`` None means the pod's service account.

    There is no fallback to ``~/.kube/config``: an operator must not act on whatever cluster somebody used last.
    """

    def __init__(self, kubeconfig: Path | None) -> None:
        self._kubeconfig = kubeconfig

    async def load(self) -> Credentials:
        """Raises ``Unusable`` with what is missing."""
        configuration = Configuration()
        try:
            await self._fill(configuration)
        except (
            config.ConfigException,
            OSError,
            TypeError,
            ValueError,
            yaml.YAMLError,
        ) as error:  # TypeError: empty file
            raise Unusable(
                "NoCredentials", f"can't tell how to reach the API server: {error}. {self._advice()}"
            ) from error
        return Credentials(
            server=configuration.host.rstrip("/"),
            authorization=await configuration.get_api_key_with_prefix("BearerToken"),
            ca_path=configuration.ssl_ca_cert,
            certificate_path=configuration.cert_file,
            key_path=configuration.key_file,
            verify=configuration.verify_ssl,
        )

    async def _fill(self, configuration: Configuration) -> None:
        if self._kubeconfig is None:
            config.load_incluster_config(configuration, try_refresh_token=False)  # type: ignore[no-untyped-call]
            return
        if not os.access(self._kubeconfig, os.R_OK):
            raise config.ConfigException(f"{self._kubeconfig} can't be read")
        await config.load_kube_config(  # type: ignore[no-untyped-call]
            str(self._kubeconfig), client_configuration=configuration, persist_config=False
        )

    def _advice(self) -> str:
        if self._kubeconfig is None:
            return "Outside of a pod, give --kubeconfig or set MODELCYCLE_KUBECONFIG"
        return f"Check the file {self._kubeconfig}"
