"""HTTP/1.1 connections: bounded in requests and in patience.

A connection is closed after so many requests, by ``Connection: close`` on the last answer, so that clients spread over
the replicas again. A request has to be there whole within :data:`REQUEST_SECONDS` of a new connection, and within
:data:`IDLE_SECONDS` of the answer before on an old one, however slowly its bytes trickle in.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from aiohttp import web

REQUEST_SECONDS = 20.0
IDLE_SECONDS = 75.0
"""Longer than the 60 s after which load balancers drop an idle connection, so that it is never ours that ends first."""
SEND_SECONDS = 30.0
"""For the client to read its answer."""
_REAP_SECONDS = 1.0
_LINGERING_SECONDS = 2.0
MAX_HEADER_BYTES = 16 * 1024


class Connection(web.RequestHandler):
    """One client's connection."""

    __slots__ = ("busy", "deadline", "served")

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self.served = 0
        self.busy = False
        self.deadline = time.monotonic() + REQUEST_SECONDS

    def begin(self) -> int:
        """A request is there; its number on this connection, from 1."""
        self.served += 1
        self.busy = True
        return self.served

    def end(self) -> None:
        self.busy = False
        self.deadline = time.monotonic() + IDLE_SECONDS

    def is_late(self, now: float) -> bool:
        return not self.busy and now > self.deadline


class Server(web.Server):
    """aiohttp's low-level server with connections of ours; it knows who is connected."""

    def __call__(self) -> web.RequestHandler:
        return Connection(
            self,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=_LINGERING_SECONDS,
            access_log=None,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            auto_decompress=False,
        )

    async def reap(self) -> None:
        """Ends connections that are late, for ever."""
        while True:
            await asyncio.sleep(_REAP_SECONDS)
            now = time.monotonic()
            for connection in list(self.connections):
                if isinstance(connection, Connection) and connection.is_late(now):
                    connection.force_close()
