"""The pod from which the scenarios send their requests, as anybody's client in the cluster would."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from e2e.cluster import ClusterError
from e2e.demo.kube import Kube
from e2e.scenarios.system import Json, System, eventually

_NAME = "client"
_ANSWER_SECONDS = 180
_PROGRAM = Path(__file__).with_name("client.py")


@dataclass(frozen=True, slots=True)
class Client:
    """Talks to the deployment ``name`` of its namespace.

    ``row``: one that the model's input ``entered`` takes; ``beside``: what other inputs always get.
    """

    kube: Kube
    name: str
    model: str
    entered: str
    row: Sequence[float]
    datatype: str = "FP32"
    beside: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def ask(self, *rows: Sequence[float]) -> Json:
        """Ask row by row: ``versions``, ``predictions`` and ``tokens``, one of each a row."""
        return self._run("ask", self._questions(*rows))

    def tell(self, *rows: Json) -> Json:
        return self._run("tell", rows)

    def serving(self) -> set[str]:
        """Versions that answer, of some requests with a connection each."""
        return set(self.ask(*[self.row] * 6)["versions"])

    def until_answered(self) -> None:
        """Wait for a first answer: the cluster's proxies learn of a ready pod a moment after its status says so."""
        eventually("an answer", self._served, _ANSWER_SECONDS)

    @contextmanager
    def load(self) -> Iterator[Callable[[], Json]]:
        """Send requests for as long as the block runs, which begins with the first answer.

        What it yields gives the result afterwards.
        """
        self._shell("rm -f /tmp/stop /tmp/answered")
        with ThreadPoolExecutor(max_workers=1) as pool:
            sending = pool.submit(self._run, "load", self._questions(self.row))
            try:
                eventually("the load's first answer", lambda: sending.done() or self.answered(), _ANSWER_SECONDS)
                yield sending.result
            finally:
                self._shell("touch /tmp/stop")

    def answered(self) -> int:
        """How many requests of the load that goes on have been answered."""
        return int(self._shell("cat /tmp/answered 2>/dev/null || echo 0"))

    def _served(self) -> set[str]:
        with suppress(ClusterError):
            return self.serving()
        return set()

    def _questions(self, *rows: Sequence[float]) -> Json:
        return {"datatype": self.datatype, "rows": [{self.entered: row, **self.beside} for row in rows]}

    def _shell(self, command: str) -> str:
        return self.kube.kubectl("exec", _NAME, "--", "sh", "-c", command)

    def _run(self, command: str, given: object) -> Json:
        url = f"http://{self.name}.{self.kube.namespace}.svc"
        words = ("exec", "-i", _NAME, "--", "python", "-", command, url, self.model, json.dumps(given))
        text = self.kube.cluster.kubectl("--namespace", self.kube.namespace, *words, input=_PROGRAM.read_text())
        found: Json = json.loads(text)
        return found


def provide_client(system: System, client: Client) -> Client:
    """Make its pod, if need be, and wait until that runs."""
    kube = client.kube
    container = {
        "name": _NAME,
        "image": system.image("serving"),
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", "import signal; signal.signal(signal.SIGTERM, lambda *_: exit()); signal.pause()"],
        "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
    }
    kube.apply([
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": _NAME, "namespace": kube.namespace},
            "spec": {"containers": [container], "automountServiceAccountToken": False},
        }
    ])  # fmt: skip
    kube.kubectl("wait", "--for=condition=Ready", f"pod/{_NAME}", "--timeout=600s")
    return client
