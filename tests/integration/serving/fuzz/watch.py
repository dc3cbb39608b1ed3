"""The server while it is fuzzed: alive, bounded in memory, and answering everybody else as before."""

from __future__ import annotations

import http.client
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.integration.serving.fuzz.bodies import right_request

COUNTS: Counter[tuple[str, str]] = Counter()
"""Requests by surface and status, for the report at the end."""

MOST_GROWTH_MIB = 256
"""What a server may take more than before, fuzzed with small bodies: ONNX Runtime and the allocator keep some."""
_PAUSE = 0.02
_BATCH = 200


class Watched:
    """A server, and a client that goes on using it as one should."""

    def __init__(self, running: Any, other: Any) -> None:
        """Its client uses ``running``; ``other`` is looked at too."""
        self.running, self.other = running, other
        self.url: str = running.url
        self._before = [_resident_mib(one.pid) for one in (running, other)]
        self._sent = 0
        self._right = self._outputs()

    def count(self, surface: str, status: int | str) -> None:
        """Counts a request, and looks at the server once in a while."""
        COUNTS[surface, str(status)] += 1
        self._sent += 1
        if self._sent % _BATCH == 0:
            self.check()

    def check(self) -> None:
        """Fails when the server has suffered."""
        assert self._outputs() == self._right, "another answer than before"
        for running, before in zip((self.running, self.other), self._before, strict=True):
            grown = _resident_mib(running.pid) - before
            assert grown < MOST_GROWTH_MIB, f"takes {grown} MiB more than before"
            with urllib.request.urlopen(f"{running.metrics_url}/metrics", timeout=60) as answer:  # noqa: S310
                failed = [line for line in answer.read().decode().splitlines() if 'requests_total{code="500"' in line]
            assert [float(line.rsplit(" ", 1)[1]) for line in failed] == [0.0], failed
            log = running.log.read_text(errors="replace")
            assert "panicked" not in log, log[-2000:]

    @contextmanager
    def beside_a_client(self) -> Iterator[None]:
        """Requests that are right are answered alike all the while."""
        stop, wrong = threading.Event(), list[str]()
        client = threading.Thread(target=self._go_on, args=(stop, wrong), daemon=True)
        client.start()
        try:
            yield
        finally:
            stop.set()
            client.join(60)
        assert not wrong, wrong[:3]

    def _go_on(self, stop: threading.Event, wrong: list[str]) -> None:
        while not stop.is_set():
            try:
                if self._outputs() != self._right:
                    wrong.append("another answer than before")
            except (OSError, http.client.HTTPException, AssertionError) as error:
                wrong.append(repr(error))
            time.sleep(_PAUSE)

    def _outputs(self) -> bytes:
        """The bytes of the answer to a request that is right."""
        body, headers = right_request()
        with closing(http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)) as connection:
            connection.request("POST", "/v2/models/hedge/infer", body, headers)
            answer = connection.getresponse()
            content = answer.read()
            assert answer.status == 200, content
            return content[int(answer.headers["Inference-Header-Content-Length"]) :]


def _resident_mib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) // 1024
