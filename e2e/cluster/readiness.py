"""Waiting for a cluster's parts, and giving up early when they keep failing."""

from __future__ import annotations

import http.client
import json
import ssl
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.cluster import record
from e2e.cluster.errors import StartError
from e2e.cluster.paths import ClusterPaths
from e2e.cluster.pki import Pki
from e2e.cluster.processes import Identity, is_alive
from e2e.progress import HEARTBEAT_SECONDS, say

_TOO_MANY_STARTS = 8


def wait(what: str, ready: Callable[[], bool], paths: ClusterPaths, supervisor: Identity, *, seconds: float) -> None:
    """Ask until `ready`; StartError when time is up, the supervisor has gone, or a component keeps ending."""
    started = time.monotonic()
    told = started
    while not ready():
        if not is_alive(supervisor):
            raise StartError(f"{what}: the cluster's supervisor ended", log=paths.log("supervisor"), do=_DO)
        for component in record.components(paths):
            if component.starts >= _TOO_MANY_STARTS:
                problem = f"{what}: {component.name} ended {component.starts} times, last with {component.last_exit}"
                raise StartError(problem, log=paths.log(component.name), do=_DO)
        now = time.monotonic()
        if now > started + seconds:
            raise StartError(f"{what}: not within {seconds:.0f}s", log=_most_telling_log(paths), do=_DO)
        if now > told + HEARTBEAT_SECONDS:
            say(f"{what}: not yet, after {now - started:.0f}s")
            told = now
        time.sleep(0.1)
    say(f"{what}")


_DO = "read the log; `python -m e2e.cluster down --name NAME` removes what is there, and `up` tries again"


def _most_telling_log(paths: ClusterPaths) -> Path:
    """The log of the component that has ended most often, or of the API server."""
    unsettled = [component for component in record.components(paths) if component.starts > 1 or not component.running]
    worst = max(unsettled, key=lambda component: component.starts, default=None)
    return paths.log(worst.name if worst else "kube-apiserver")


@dataclass(frozen=True)
class Api:
    """The API server as its admin sees it, asked without kubectl since that costs a process for each question."""

    server: str
    ca: Path
    token: str

    def is_ready(self) -> bool:
        return self.get("/readyz") is not None

    @classmethod
    def of_admin(cls, paths: ClusterPaths) -> Api:
        """As the kubeconfig that we wrote says."""
        content = json.loads(paths.kubeconfig.read_text())
        server, token = content["clusters"][0]["cluster"]["server"], content["users"][0]["user"]["token"]
        return cls(server, Pki(paths.pki).ca, token)

    @property
    def host(self) -> str:
        return self.server.removeprefix("https://").rpartition(":")[0]

    def get_json(self, path: str) -> dict[str, Any]:
        """The object at a path; empty when there is none."""
        body = self.get(path)
        return dict(json.loads(body)) if body else {}

    def get(self, path: str) -> bytes | None:
        """The body of a successful answer, or None."""
        headers = {"Authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(f"{self.server}{path}", headers=headers)  # noqa: S310
        # The proxies of the environment are for the world outside.
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(self.ca))),
        )
        try:
            with opener.open(request, timeout=5) as answer:
                return bytes(answer.read())
        except (OSError, http.client.HTTPException):
            return None
