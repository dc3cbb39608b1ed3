"""The two servers that a replay talks to: the deployment's Service and the API server."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .days import Answer, Day

Json = dict[str, Any]
SERVICE_SECONDS = 600.0
POLL_SECONDS = 0.5
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class ReplayError(Exception):
    """The replay can't go on; the message says what it waited for."""


class ServedModel:
    """Speaks the Open Inference Protocol, with a new connection for each request: replicas get shares of requests."""

    def __init__(self, url: str, name: str) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 80)
        self._path = f"/v2/models/{name}"

    def predict(self, day: Day) -> tuple[Answer, int]:
        tensor = {"name": "features", "datatype": "FP32", "shape": [1, len(day.features)], "data": list(day.features)}
        body = {"inputs": [tensor], "parameters": {"event_time": day.time}}
        reply, tries = self._post_until_answered("/infer", body)
        token = reply["parameters"]["feedback_token"][0]
        return Answer(float(reply["outputs"][0]["data"][0]), str(reply["model_version"]), token), tries

    def tell(self, token: str, label: float) -> str:
        reply, _ = self._post_until_answered("/feedback", {"feedback": [{"token": token, "label": label}]})
        return str(reply["results"][0])

    def _post_until_answered(self, path: str, body: Json) -> tuple[Json, int]:
        """Try again after a refused connection or a 5xx: pods come and go. Gives the answer and the number of tries."""
        deadline, tries = time.monotonic() + SERVICE_SECONDS, 0
        while True:
            tries += 1
            try:
                return self._post(path, body), tries
            except (OSError, http.client.HTTPException) as error:
                if time.monotonic() > deadline:
                    raise ReplayError(
                        f"{self._path}{path} gave no answer for {SERVICE_SECONDS:.0f} s: {error}"
                    ) from error
                time.sleep(POLL_SECONDS)

    def _post(self, path: str, body: Json) -> Json:
        connection = http.client.HTTPConnection(*self._address, timeout=30)
        try:
            headers = {"Content-Type": "application/json", "Connection": "close"}
            connection.request("POST", self._path + path, json.dumps(body), headers)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if response.status >= 500:
            raise OSError(f"status {response.status}: {content[:300].decode(errors='replace')}")
        if response.status != 200:
            raise ReplayError(f"{self._path}{path}: status {response.status}: {content[:300].decode(errors='replace')}")
        reply: Json = json.loads(content)
        return reply


class ClusterWatch:
    """Reads the two resources from the API server with the pod's own account."""

    def __init__(self, namespace: str, policy: str, deployment: str) -> None:
        host = os.environ["KUBERNETES_SERVICE_HOST"]
        port = os.environ["KUBERNETES_SERVICE_PORT"]
        self._base = f"https://{host}:{port}/apis/modelcycle.dev/v1alpha1/namespaces/{namespace}"
        self._names = {"retrainpolicies": policy, "modeldeployments": deployment}
        self._tls = ssl.create_default_context(cafile=str(_ACCOUNT / "ca.crt"))

    def policy(self) -> Json:
        return self._status("retrainpolicies")

    def deployment(self) -> Json:
        return self._status("modeldeployments")

    def _status(self, plural: str) -> Json:
        token = (_ACCOUNT / "token").read_text()
        url = f"{self._base}/{plural}/{self._names[plural]}"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})  # noqa: S310
        deadline = time.monotonic() + SERVICE_SECONDS
        while True:
            try:
                with urllib.request.urlopen(request, timeout=30, context=self._tls) as response:  # noqa: S310
                    found: Json = json.load(response).get("status") or {}
                    return found
            except OSError as error:
                if time.monotonic() > deadline:
                    raise ReplayError(f"the API server gave no {plural}/{self._names[plural]}: {error}") from error
                time.sleep(POLL_SECONDS)
