"""What the demo asks of the cluster, in terms of one namespace."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from e2e.cluster import Cluster
from e2e.progress import step

Json = dict[str, Any]
POLL_SECONDS = 1.0


class DemoError(Exception):
    """The demo can't go on; the message says what the cluster says."""


@dataclass(frozen=True, slots=True)
class Kube:
    """One namespace of one cluster."""

    cluster: Cluster
    namespace: str

    def kubectl(self, *arguments: str) -> str:
        return self.cluster.kubectl("--namespace", self.namespace, *arguments)

    def apply(self, documents: Sequence[Json]) -> None:
        """Apply manifests server-side, as whoever uses kubectl does."""
        text = yaml.safe_dump_all(documents, sort_keys=False)
        self.cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=text)

    def get(self, kind: str, name: str) -> Json | None:
        text = self.kubectl("get", kind, name, "--ignore-not-found", "-o", "json")
        return json.loads(text) if text.strip() else None

    def items(self, kind: str) -> list[Json]:
        found: list[Json] = json.loads(self.kubectl("get", kind, "-o", "json"))["items"]
        return found

    def wait(self, kind: str, name: str, done: Callable[[Json], bool], *, seconds: float, what: str) -> Json:
        """Wait until ``done`` says so of the object; raises DemoError with its summary when it takes too long."""
        deadline, seen = time.monotonic() + seconds, dict[str, Any]()
        with step(what, detail=lambda: words_of(seen)):
            while True:
                seen = self.get(kind, name) or {}
                if seen and done(seen):
                    return seen
                if time.monotonic() > deadline:
                    message = f"{what}: {kind}/{name} did not get there in {seconds:.0f} s: {words_of(seen)}"
                    raise DemoError(message)
                time.sleep(POLL_SECONDS)

    @contextmanager
    def forward(self, service: str, port: int) -> Iterator[str]:
        """Yield a local URL of a Service, for as long as the block runs."""
        command = [
            str(self.cluster.provider.kubectl()), f"--kubeconfig={self.cluster.kubeconfig}",
            f"--namespace={self.namespace}", "port-forward", f"service/{service}", f":{port}",
        ]  # fmt: skip
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            try:
                yield f"http://localhost:{_forwarded_port(process)}"
            finally:
                process.terminate()


def _forwarded_port(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"127\.0\.0\.1:(\d+)", line)
    if found is None:
        message = f"kubectl port-forward did not start: {line.strip() or 'no output'}"
        raise DemoError(message)
    with socket.create_connection(("127.0.0.1", int(found[1])), timeout=60):
        return int(found[1])


def condition(resource: Json, kind: str) -> Json:
    """The condition of that type, or an Unknown one."""
    found = resource.get("status", {}).get("conditions", [])
    return next((one for one in found if one["type"] == kind), {"status": "Unknown", "reason": "", "message": ""})


def words_of(resource: Json) -> str:
    """How a resource says it stands."""
    status = resource.get("status", {})
    if status.get("summary"):
        return str(status["summary"])
    return "; ".join(f"{one['type']} {one['status']}" for one in status.get("conditions", [])) or "no status yet"


def render_sample(cluster: Cluster, folder: Path, changes: Mapping[str, str]) -> list[Json]:
    """The sample's manifests as ``kubectl kustomize`` gives them, with names changed (images, namespace)."""
    text = cluster.kubectl("kustomize", str(folder))
    for old, new in changes.items():
        text = text.replace(old, new)
    return [document for document in yaml.safe_load_all(text) if document]


def of_kind(documents: Sequence[Json], *kinds: str) -> list[Json]:
    """The documents of these kinds."""
    return [document for document in documents if document["kind"] in kinds]
