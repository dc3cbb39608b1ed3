"""What the core tells of requests, brought to where people look: spans to an OTLP receiver, payloads to a file.

Threads of their own wait for the core, which keeps a bounded amount for them and drops the rest. Nothing here can hold
a request up, and what can't be brought is counted.
"""

from __future__ import annotations

import logging
import threading
import urllib.request
from collections.abc import Callable, Sequence
from http import HTTPStatus

import modelcycle_core as core
from modelcycle_runtime.serve.settings import PayloadLog, Settings, Traces

log = logging.getLogger(__name__)
_WAIT_SECONDS = 1.0
_EXPORT_SECONDS = 10.0
_LAST_SECONDS = 3.0

Take = Callable[[], tuple[bytes, int] | None]
"""Waits for the next batch, of so many requests; None once there are no more."""


class Teller:
    """Tells until the core is closed; :meth:`join` waits for the last."""

    def __init__(self, server: core.Server, settings: Settings) -> None:
        self.lost = {"spans": 0, "payloads": 0}
        """Requests of which could not be told."""
        self._threads: list[threading.Thread] = []
        if settings.traces is not None:
            resource, send = resource_of(settings), _exporter(settings.traces)
            self._start("spans", lambda: server.next_spans(_WAIT_SECONDS, resource), send)
        if settings.payload_log is not None:
            file = RotatingFile(settings.payload_log)
            self._start("payloads", lambda: server.next_payloads(_WAIT_SECONDS), file.write)

    def _start(self, what: str, take: Take, bring: Callable[[bytes], None]) -> None:
        thread = threading.Thread(target=self._tell, args=(what, take, bring), name=what, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _tell(self, what: str, take: Take, bring: Callable[[bytes], None]) -> None:
        is_well = True
        while (told := take()) is not None:
            batch, requests = told
            if not requests:
                continue
            try:
                bring(batch)
                is_well = True
            except OSError as error:
                self.lost[what] += requests
                if is_well:
                    log.warning("%s are lost until this is over: %s", what, error)
                is_well = False

    def join(self) -> None:
        """Returns when all that the core had to tell was brought, or after a few seconds."""
        for thread in self._threads:
            thread.join(_LAST_SECONDS)


def resource_of(settings: Settings) -> Sequence[tuple[str, str]]:
    """Who the spans are of, by OpenTelemetry's names: the deployment is the service, its pods are instances."""
    namespace, _, name = settings.deployment.rpartition("/")
    told = {
        "service.name": name or settings.model,
        "service.namespace": namespace,
        "service.version": settings.version,
        "modelcycle.model": settings.model,
    }
    return [(key, value) for key, value in told.items() if value]


def _exporter(traces: Traces) -> Callable[[bytes], None]:
    url = f"{traces.endpoint.rstrip('/')}/v1/traces"

    def export(batch: bytes) -> None:
        headers = {"Content-Type": "application/x-protobuf"}
        request = urllib.request.Request(url, batch, headers)  # noqa: S310 the setting allows http and https only
        with urllib.request.urlopen(request, timeout=_EXPORT_SECONDS) as answer:  # noqa: S310
            if answer.status != HTTPStatus.OK:
                raise OSError(f"{url}: {answer.status} {answer.reason}")

    return export


class RotatingFile:
    """Lines in ``path``; when they are half of what may be kept, they become ``<path>.1`` and those before are gone."""

    def __init__(self, settings: PayloadLog) -> None:
        self._path, self._half = settings.path, settings.max_bytes // 2
        self._old = settings.path.with_name(f"{settings.path.name}.1")

    def write(self, lines: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        size = self._path.stat().st_size if self._path.exists() else 0
        start = 0
        while start < len(lines):
            if size >= self._half or (size and size + lines.index(b"\n", start) + 1 - start > self._half):
                self._path.replace(self._old)
                size = 0
            # Whole lines as far as they fit, at least one.
            end = lines.rfind(b"\n", start, start + self._half - size) + 1 or lines.index(b"\n", start) + 1
            with self._path.open("ab") as file:
                file.write(lines[start:end])
            size, start = size + end - start, end
