"""Port 9090: ``/metrics``, ``/livez`` and ``/readyz``, on threads of their own, so that a busy model fails no probe."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client.exposition import CONTENT_TYPE_LATEST

_SLOW_CLIENT_SECONDS = 5.0


class State:
    """Whether the server is ready, and the text of its metrics; set by the event loop, read by the probes' threads."""

    def __init__(self) -> None:
        self.ready = False
        self.draining = False
        self.reason = "loading"
        self.metrics: Callable[[], bytes] = bytes

    def become_ready(self) -> None:
        self.ready, self.reason = True, "ready"

    def drain(self) -> None:
        self.ready, self.draining, self.reason = False, True, "draining"


class Monitoring:
    """Answers from construction until :meth:`close`."""

    def __init__(self, state: State, port: int) -> None:
        self._server = ThreadingHTTPServer(("", port), _handler(state))
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, name="monitoring", daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(state: State) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _SLOW_CLIENT_SECONDS

        def do_GET(self) -> None:
            match self.path.partition("?")[0]:
                case "/metrics":
                    self._answer(HTTPStatus.OK, CONTENT_TYPE_LATEST, state.metrics())
                case "/livez":
                    self._answer(HTTPStatus.OK, "text/plain", b"alive\n")
                case "/readyz":
                    status = HTTPStatus.OK if state.ready else HTTPStatus.SERVICE_UNAVAILABLE
                    self._answer(status, "text/plain", f"{state.reason}\n".encode())
                case _:
                    self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"/metrics, /livez or /readyz\n")

        def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing: probes come every second."""

    return Handler
