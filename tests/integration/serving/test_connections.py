"""Connections: closed after so many requests, and cut off when the other side dawdles."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from modelcycle_runtime.serve import connections

REQUEST = b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n"


async def _answer(reader: asyncio.StreamReader) -> bytes:
    """Headers of one answer, its body read past."""
    headers = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in headers.split(b"\r\n") if line.lower().startswith(b"content-length"))
    await reader.readexactly(int(length.split(b":")[1]))
    return headers


async def _connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(url)
    return await asyncio.open_connection(parts.hostname, parts.port)


async def test_the_last_request_of_a_connection_says_so(start: Callable[..., Any], version: Path) -> None:
    with start(version, maxRequestsPerConnection=3) as running:
        reader, writer = await _connect(running.url)
        said = []
        for _ in range(3):
            writer.write(REQUEST)
            said.append(b"Connection: close" in await _answer(reader))
        assert said == [False, False, True]
        assert await reader.read() == b""
        writer.close()


async def test_an_answer_does_not_wait_for_a_body_that_is_too_large(server: Any) -> None:
    reader, writer = await _connect(server.url)
    writer.write(b"POST /v2/models/hedge/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n{")
    headers = await asyncio.wait_for(_answer(reader), 60)
    assert headers.startswith(b"HTTP/1.1 413")
    assert b"Connection: close" in headers
    writer.close()


@pytest.mark.parametrize("junk", [b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\r\n" * 99])
async def test_what_is_no_http_harms_nobody(server: Any, junk: bytes) -> None:
    _, writer = await _connect(server.url)
    writer.write(junk)
    await writer.drain()
    reader, other = await _connect(server.url)
    other.write(REQUEST)
    assert (await _answer(reader)).startswith(b"HTTP/1.1 200")
    writer.close()
    other.close()


@asynccontextmanager
async def _patient_server() -> AsyncIterator[int]:
    async def ok(request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, connections.Connection)
        connection.begin()
        connection.end()
        return web.Response(text="ok")

    server = connections.Server(ok)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    reaper = asyncio.create_task(server.reap())
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        reaper.cancel()
        listener.close()
        await server.shutdown(timeout=1)


async def test_a_client_that_trickles_its_headers_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.5)
    monkeypatch.setattr(connections, "_REAP_SECONDS", 0.1)
    async with _patient_server() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for byte in REQUEST[:-1]:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.05)
            if reader.at_eof() or reader.exception():
                break
        with suppress(ConnectionError):  # an end that comes while a byte is on its way
            assert await reader.read() == b""
        writer.close()


async def test_a_client_that_is_done_in_time_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 1.5)
    monkeypatch.setattr(connections, "_REAP_SECONDS", 0.05)
    async with _patient_server() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(REQUEST)
            assert (await _answer(reader)).startswith(b"HTTP/1.1 200")
            await asyncio.sleep(0.7)
        writer.close()
