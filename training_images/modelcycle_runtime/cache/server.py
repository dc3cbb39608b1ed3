"""The cache over HTTP: ``GET`` and ``PUT /sha256/<digest>``; ``docs/reference/pods.md`` has the answers.

It fetches nothing by itself and holds no credentials: who had to fetch a file elsewhere brings it. Nobody is believed:
a file is taken in when its content has the digest that it is named by, and whoever reads it checks that again.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket
from typing import BinaryIO
from urllib.parse import parse_qs, urlsplit

from modelcycle_runtime.cache.claims import Claims, claim_seconds
from modelcycle_runtime.cache.metrics import Metrics
from modelcycle_runtime.cache.store import CHUNK_BYTES, DIGEST, NotKept, Store

CLIENT_SECONDS = 10.0
"""Between two pieces of a body: who is slower is cut off."""
MOST_CLIENTS = 64
PREFIX = "/sha256/"


class CacheServer(ThreadingHTTPServer):
    """Answers from :meth:`start` until :meth:`close`, one thread a client, ``MOST_CLIENTS`` at a time."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, store: Store, claims: Claims, metrics: Metrics, port: int) -> None:
        super().__init__(("", port), _Handler)
        self.store, self.claims, self.metrics = store, claims, metrics
        self.port: int = self.server_address[1]
        self._free = threading.BoundedSemaphore(MOST_CLIENTS)

    def start(self) -> None:
        threading.Thread(target=self.serve_forever, args=(0.1,), name="cache", daemon=True).start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()

    def verify_request(self, request: socket | tuple[bytes, socket], client_address: object) -> bool:
        """Who comes when all threads are taken is closed at once: it fetches the file elsewhere."""
        return self._free.acquire(blocking=False)

    def process_request(self, request: socket | tuple[bytes, socket], client_address: object) -> None:
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread could be started
            self._free.release()
            raise

    def process_request_thread(self, request: socket | tuple[bytes, socket], client_address: object) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: socket | tuple[bytes, socket], client_address: object) -> None:
        """A client that goes away in the middle is no error of ours: it verifies what it has."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: CacheServer
    timeout = CLIENT_SECONDS

    def do_GET(self) -> None:
        """The file; 404: bring it; 503: somebody is bringing it."""
        asked = self._asked()
        if asked is None:
            return
        digest, size = asked
        found = self.server.store.open(digest)
        if found is not None:
            self.server.metrics.asked.labels("hit").inc()
            self._send(*found)
        elif self.server.claims.take(digest, size):
            self.server.metrics.asked.labels("miss").inc()
            self._say(HTTPStatus.NOT_FOUND, "not here: bring it, once you have it")
        else:
            self.server.metrics.asked.labels("wait").inc()
            self._say(HTTPStatus.SERVICE_UNAVAILABLE, "not here yet: somebody is bringing it")

    def do_PUT(self) -> None:
        """201: it is kept. 409: the content is another one. 507: no room."""
        asked = self._asked()
        if asked is None:
            return
        digest, size = asked
        if self.headers.get("Content-Length") != str(size):
            self._say(HTTPStatus.LENGTH_REQUIRED, "Content-Length has to be the size of the file")
            return
        status, text = self._kept(digest, size)
        self.server.claims.end(digest)
        self._say(status, text)

    def _kept(self, digest: str, size: int) -> tuple[HTTPStatus, str]:
        refused = self.server.metrics.refused
        try:
            self.server.store.keep(digest, size, self._body(size))
        except NotKept as refusal:
            refused.labels(refusal.reason).inc()
            status = HTTPStatus.CONFLICT if refusal.reason == "digest" else HTTPStatus.INSUFFICIENT_STORAGE
            return status, str(refusal)
        except _Broken as error:
            refused.labels("broken").inc()
            return HTTPStatus.REQUEST_TIMEOUT, str(error)
        except OSError as error:
            refused.labels("disk").inc()
            return HTTPStatus.INSUFFICIENT_STORAGE, f"can't be written: {error.strerror}"
        self.server.metrics.kept.inc()
        return HTTPStatus.CREATED, "kept"

    def _asked(self) -> tuple[str, int] | None:
        """Digest and size, or None after an answer that says what is wrong with them."""
        parts = urlsplit(self.path)
        digest = parts.path.removeprefix(PREFIX)
        size = parse_qs(parts.query).get("size", [""])[0]
        if not parts.path.startswith(PREFIX) or not DIGEST.fullmatch(digest):
            self._say(HTTPStatus.NOT_FOUND, f"{PREFIX}<64 hexadecimal digits>?size=<bytes>")
        elif not (size.isascii() and size.isdigit() and len(size) < 16):
            self._say(HTTPStatus.BAD_REQUEST, "size: has to be a number of bytes")
        else:
            return digest, int(size)
        return None

    def _send(self, content: BinaryIO, size: int) -> None:
        with content:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(size))
            self.end_headers()
            self.wfile.flush()
            self.server.metrics.sent.inc(self.connection.sendfile(content))

    def _body(self, size: int) -> Iterator[bytes]:
        left, deadline = size, time.monotonic() + claim_seconds(size)
        while left:
            try:
                chunk = self.rfile.read1(min(left, CHUNK_BYTES))
            except OSError as error:
                raise _Broken(f"{left} of {size} bytes did not come: {error}") from error
            if not chunk or time.monotonic() > deadline:
                raise _Broken(f"{left} of {size} bytes did not come in time")
            left -= len(chunk)
            yield chunk

    def _say(self, status: HTTPStatus, text: str) -> None:
        body = f"{text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: metrics count what there is to know."""


class _Broken(Exception):
    """The client did not send all of its body: not the disk's fault."""
