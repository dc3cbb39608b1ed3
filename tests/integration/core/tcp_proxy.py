"""A TCP proxy whose cable can be pulled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class TcpProxy:
    """Forwards bytes to ``host:port``, and nothing at all while it is cut.

    ``connections``: how many it has taken so far.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._is_cut = False
        self._silent: set[asyncio.StreamWriter] = set()
        self._swallows = False
        self.connections = 0
        self.port = 0

    def cut(self) -> None:
        self._is_cut = True
        for writer in list(self._writers):
            writer.close()

    def heal(self) -> None:
        self._is_cut = False

    def silence(self, *, later_ones_too: bool = False) -> None:
        """What comes on the connections of now goes nowhere, and neither side is told: a firewall forgot them."""
        self._silent |= self._writers
        self._swallows = later_ones_too

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.close()
            return
        self.connections += 1
        with suppress(OSError):
            there_reader, there_writer = await asyncio.open_connection(*self._target)
            self._writers |= {writer, there_writer}
            if self._swallows:
                self._silent |= {writer, there_writer}
            await asyncio.gather(self._pump(reader, there_writer), self._pump(there_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                if writer not in self._silent:
                    writer.write(data)
                    await writer.drain()
        if writer in self._silent and not self._is_cut:
            return  # the end of the one side is not told to the other either
        writer.close()
        self._writers.discard(writer)


@asynccontextmanager
async def tcp_proxy(host: str, port: int) -> AsyncIterator[TcpProxy]:
    proxy = TcpProxy(host, port)
    server = await asyncio.start_server(proxy.connect, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.cut()
