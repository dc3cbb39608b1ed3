"""The operator with the toy domain, as a process that can be stopped, killed and asked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from e2e.cluster import Cluster

REPOSITORY = Path(__file__).parents[3]
TOY = Path(__file__).with_name("toy.py")


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 120.0) -> Any:
    """The first result of ``condition`` that is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


@dataclass
class OperatorProcess:
    cluster: Cluster
    log: Path
    lease: str
    namespaces: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    _port: int = field(default=0)

    def start(self) -> OperatorProcess:
        environment = os.environ | {
            "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'operator'}",
            "MODELCYCLE_KUBECONFIG": str(self.cluster.kubeconfig),
            "MODELCYCLE_SERVING_IMAGE": "localhost/serving:1",
            "MODELCYCLE_LEASE_NAME": self.lease,
            "MODELCYCLE_NAMESPACES": ",".join(self.namespaces),
            "MODELCYCLE_PORT": "0",
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([sys.executable, str(TOY)], env=environment, stderr=log)
        return self

    def lines(self) -> list[dict[str, str]]:
        """What it logged so far."""
        # The last line may be on its way, or cut off by a kill.
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.endswith("}")]

    def said(self, text: str) -> bool:
        return any(text in line["message"] for line in self.lines())

    def wait_for_duty(self) -> OperatorProcess:
        wait_until(lambda: self.said("on duty"), "the operator is on duty")
        return self

    def wait_until_ready(self) -> OperatorProcess:
        wait_until(lambda: self.said("on port") and self.get("/readyz")[0] == 200, "the operator is ready")
        return self

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of its own HTTP port."""
        started = next(line for line in self.lines() if "on port" in line["message"])
        port = started["message"].rsplit(" ", 1)[1]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.wait()

    def wait(self) -> int:
        assert self.process is not None
        return self.process.wait(timeout=120)
