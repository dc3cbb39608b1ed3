"""MLflow's proxied artifacts over HTTP, with the standard library alone: download to a file, upload of bytes.

Only ``mlflow-artifacts:/`` is spoken: the server then holds the credentials of the real store, and a pod needs none.
Users and tokens come from MLflow's own environment variables.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import random
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import quote, urlsplit

from modelcycle_runtime.errors import ArtifactMissing, ArtifactRefused, ArtifactsUnavailable

SCHEME = "mlflow-artifacts"
TIMEOUT_SECONDS = 30.0
_API = "/api/2.0/mlflow-artifacts/artifacts/"
_RETRIED = frozenset({408, 429, 500, 502, 503, 504})
_FIRST_WAIT, _LONGEST_WAIT = 0.25, 15.0

T = TypeVar("T")
Response = http.client.HTTPResponse


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the store is waited for, with a jittered, exponentially growing pause between tries."""

    seconds: float = 600.0
    clock: Callable[[], float] = field(default=time.monotonic)
    sleep: Callable[[float], None] = field(default=time.sleep)

    def attempt(self, what: str, call: Callable[[], T]) -> T:
        """What ``call`` gives; what is worth it is tried again.

        Raises:
            ArtifactsUnavailable: it never came; the message has the last error.
        """
        deadline = self.clock() + self.seconds
        wait = _FIRST_WAIT
        while True:
            try:
                return call()
            except OSError as error:
                pause = wait * random.uniform(0.5, 1.5)  # noqa: S311  (jitter)
                if self.clock() + pause > deadline:
                    raise ArtifactsUnavailable(f"{what}: no answer within {self.seconds:.0f} s: {error}") from error
                sys.stderr.write(f"{what}: {error}; trying again in {pause:.1f} s\n")
            self.sleep(pause)
            wait = min(2 * wait, _LONGEST_WAIT)


class ArtifactStore:
    """The artifacts behind one tracking server."""

    def __init__(self, tracking_uri: str, patience: Patience | None = None) -> None:
        if urlsplit(tracking_uri).scheme not in {"http", "https"}:
            raise ArtifactRefused(f"tracking URI {tracking_uri!r}: must be http:// or https://")
        self._server = tracking_uri.rstrip("/")
        self._patience = patience or Patience()
        self._context = ssl.create_default_context(cafile=os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH"))

    def read(self, uri: str, consume: Callable[[Response], T]) -> T:
        """What ``consume`` makes of the body; it is called again with a new body if the connection breaks.

        Raises:
            ArtifactMissing, ArtifactRefused, ArtifactsUnavailable: with the address and what to do.
        """
        url = self._address(uri)
        return self._patience.attempt(uri, lambda: self._request(url, "GET", None, consume))

    def write(self, uri: str, content: bytes) -> None:
        """Stores ``content``; a second time changes nothing.

        Raises:
            ArtifactMissing, ArtifactRefused, ArtifactsUnavailable: with the address and what to do.
        """
        url = self._address(uri)
        self._patience.attempt(uri, lambda: self._request(url, "PUT", content, Response.read))

    def run_root(self, run_id: str) -> str:
        """Artifact URI of a run.

        Raises:
            ArtifactMissing, ArtifactRefused, ArtifactsUnavailable: with the address and what to do.
        """
        url = f"{self._server}/api/2.0/mlflow/runs/get?run_id={quote(run_id, safe='')}"
        body = self._patience.attempt(url, lambda: self._request(url, "GET", None, Response.read))
        try:
            return str(json.loads(body)["run"]["info"]["artifact_uri"])
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactRefused(f"{url}: what answers is no MLflow server: {body[:200]!r}") from error

    def _address(self, uri: str) -> str:
        return self._server + _API + quote(path_of(uri))

    def _request(self, url: str, method: str, content: bytes | None, consume: Callable[[Response], T]) -> T:
        request = urllib.request.Request(url, data=content, method=method, headers=_authorization())  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS, context=self._context) as response:  # noqa: S310
                return consume(response)
        except urllib.error.HTTPError as error:
            with error:
                raise _failure(url, error) from error
        except urllib.error.URLError as error:
            if isinstance(error.reason, ssl.SSLCertVerificationError):
                raise ArtifactsUnavailable(f"{url}: certificate not trusted: {error.reason.verify_message}") from error
            raise
        except http.client.HTTPException as error:
            raise ConnectionError(f"{type(error).__name__} {error}") from error


def path_of(uri: str) -> str:
    """Path below the artifact root of ``mlflow-artifacts:/path``.

    Raises:
        ArtifactRefused: the address is of another kind.
    """
    parts = urlsplit(uri)
    if parts.scheme != SCHEME or parts.netloc:
        raise ArtifactRefused(
            f"{uri!r} is not an {SCHEME}:/ address; start the MLflow server with --serve-artifacts and "
            "--artifacts-destination, and without --default-artifact-root, so that it hands artifacts out itself"
        )
    if ".." in parts.path.split("/"):
        raise ArtifactRefused(f"{uri!r} leads out of its folder")
    return parts.path.strip("/")


def _failure(url: str, error: urllib.error.HTTPError) -> Exception:
    said = error.read(300).decode(errors="replace").strip()
    if error.code in _RETRIED:
        return ConnectionError(f"HTTP {error.code} {said}")
    if error.code == 404:
        return ArtifactMissing(f"{url}: not there (HTTP 404); was the artifact or its run deleted? {said}")
    if error.code in {401, 403}:
        # Says nothing about the artifact: whoever gives the pod its token puts it right, and the pod is started again.
        hint = "check the user or token of the pod's Secret, and the server's --allowed-hosts"
        return ArtifactsUnavailable(f"{url}: HTTP {error.code}; {hint}: {said}")
    return ArtifactRefused(f"{url}: HTTP {error.code}: {said}")


def _authorization() -> dict[str, str]:
    environment = os.environ
    if "MLFLOW_TRACKING_USERNAME" in environment and "MLFLOW_TRACKING_PASSWORD" in environment:
        pair = f"{environment['MLFLOW_TRACKING_USERNAME']}:{environment['MLFLOW_TRACKING_PASSWORD']}"
        return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
    if "MLFLOW_TRACKING_TOKEN" in environment:
        return {"Authorization": f"Bearer {environment['MLFLOW_TRACKING_TOKEN']}"}
    return {}
