"""One operator of a test: its files, its process, and its end and new beginning."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import yaml

from modelcycle.cluster.kinds import LEASE
from tests.support.lab.kube import Kube
from tests.support.lab.nursery import Nursery

SERVING_IMAGE = "localhost/modelcycle/serving:1"
LEASE_NAME = "operator"
_PORT = re.compile(r"on port (\d+)")


def write_kubeconfig(path: Path, server: str, kube: Kube) -> Path:
    """A kubeconfig for a proxy that speaks plain HTTP."""
    token = (kube.credentials.authorization or "").removeprefix("Bearer ")
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "proxy", "cluster": {"server": server}}],
        "users": [{"name": "operator", "user": {"token": token}}],
        "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "operator"}}],
        "current-context": "proxy",
    }
    path.write_text(yaml.safe_dump(content))
    return path


def write_endpoints(path: Path, mlflow: str, prometheus: str) -> Path:
    content = {
        "mlflow": [{"name": "default", "url": mlflow}],
        "prometheus": [{"name": "default", "url": prometheus, "scrape_seconds": 1}],
    }
    path.write_text(yaml.safe_dump(content))
    return path


@dataclass
class Operator:
    """An operator that serves one namespace, in which its Lease lies too; a cluster of its own for MLflow's tags.

    ``served``: the namespaces that it serves instead, separated by commas. ``flags``: further ones.
    """

    namespace: str
    kubeconfig: Path
    endpoints: Path
    log: Path
    nursery: Nursery
    kube: Kube
    pid: int = 0
    starts: int = field(default=0)
    served: str = ""
    flags: Mapping[str, str] = field(default_factory=dict)

    async def start(self) -> None:
        arguments = {
            "--kubeconfig": str(self.kubeconfig),
            "--endpoints": str(self.endpoints),
            "--namespaces": self.served or self.namespace,
            "--cluster-id": self.namespace,
            "--lease-namespace": self.namespace,
            "--lease-name": LEASE_NAME,
            "--serving-image": SERVING_IMAGE,
            "--port": "0",
            **self.flags,
        }
        flat = [text for flag, value in arguments.items() for text in (flag, value)]
        self.pid = await self.nursery.start(["run", *flat], self.log)
        self.starts += 1

    async def start_again(self) -> None:
        """After a kill: once the process is gone, and as if the time of its lease were over."""
        while self.lives():  # noqa: ASYNC110 (the kernel sets no event of ours)
            await asyncio.sleep(0.01)
        await self.kube.delete(LEASE, self.namespace, LEASE_NAME)
        await self.start()

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    def resync(self) -> None:
        self.signal(signal.SIGHUP)

    def lives(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def is_on_duty(self) -> bool:
        """Whether it has the lease, and looks at all that there is, in its present life."""
        messages = [line["message"] for line in self.said()]
        began = [place for place, message in enumerate(messages) if _PORT.search(message)]
        return len(began) == self.starts and "on duty" in messages[began[-1] :]

    def signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def said(self) -> list[dict[str, str]]:
        """What it logged in all its lives; a line that a kill cut off is left out."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [json.loads(line) for line in lines if line.endswith("}")]

    async def metrics(self, session: aiohttp.ClientSession) -> str:
        """Its metrics page."""
        async with session.get(f"http://127.0.0.1:{self.port()}/metrics") as answer:
            return await answer.text()

    def port(self) -> str | None:
        """Of its HTTP server; None before it has said it in its present life."""
        ports = [found.group(1) for line in self.said() if (found := _PORT.search(line["message"]))]
        return ports[-1] if len(ports) == self.starts else None
