"""A server that does to each request, in its order, what a test says: answers, stalls, breaks off, or goes away."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

Act = Callable[[socket.socket], bool]
"""Answers a request that came whole; False ends the connection."""


def says(body: bytes, status: str = "200 OK", *, headers: Sequence[str] = (), close: bool = False) -> Act:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, *(["Connection: close"] if close else [])]
    answer = "\r\n".join([*lines, "", ""]).encode() + body

    def act(connection: socket.socket) -> bool:
        connection.sendall(answer)
        return not close

    return act


def sends(raw: bytes) -> Act:
    """Some bytes, and the end of the connection."""

    def act(connection: socket.socket) -> bool:
        connection.sendall(raw)
        return False

    return act


def after(seconds: float, act: Act) -> Act:
    def acting(connection: socket.socket) -> bool:
        time.sleep(seconds)
        return act(connection)

    return acting


def goes_away(_: socket.socket) -> bool:
    return False


@dataclass
class Scripted:
    """What it was sent: requests in their order, and the number of the connection of each."""

    url: str
    requests: list[bytes] = field(default_factory=list)
    connections: list[int] = field(default_factory=list)


@contextmanager
def scripted(*acts: Act, tls: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    """Serve ``acts`` one request after another, the last one for ever; each connection on a thread."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    served = Scripted(f"http://127.0.0.1:{port}" if tls is None else f"https://localhost:{port}")
    lock = threading.Lock()
    open_ones: list[socket.socket] = []

    def serve(plain: socket.socket, number: int) -> None:
        try:
            connection = plain if tls is None else tls.wrap_socket(plain, server_side=True)
        except OSError:
            return  # the client does not trust it
        with connection:
            while request := _whole(connection):
                with lock:
                    act = acts[min(len(served.requests), len(acts) - 1)]
                    served.requests.append(request)
                    served.connections.append(number)
                try:
                    if not act(connection):
                        return
                except OSError:
                    return  # the client has gone

    def accept() -> None:
        number = 0
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # closed below
            open_ones.append(connection)
            threading.Thread(target=serve, args=(connection, number), daemon=True).start()
            number += 1

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for connection in open_ones:
            _end(connection)


def _end(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it has ended


def _whole(connection: socket.socket) -> bytes:
    """The next request with its body; nothing at the end of the connection."""
    read = b""
    try:
        while b"\r\n\r\n" not in read:
            part = connection.recv(65536)
            if not part:
                return b""
            read += part
        head, _, body = read.partition(b"\r\n\r\n")
        lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        while len(body) < (int(lengths[0]) if lengths else 0):
            part = connection.recv(65536)
            if not part:
                return b""
            body += part
    except OSError:
        return b""
    return head + b"\r\n\r\n" + body
