"""Connections: closed after so many requests, and cut off when the other side dawdles."""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

INFER = b"/v2/models/hedge/infer"
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


BODY = b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,1]}]}'
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)


@pytest.mark.parametrize(
    ("headers", "body", "statuses"),
    [
        pytest.param(LENGTH, BODY, [200], id="a length"),
        pytest.param(CHUNKED, CHUNKS, [200], id="chunks"),
        pytest.param(
            CHUNKED,
            b"5\r\n" + BODY[:5] + b"\r\n" + b"%x;a=b\r\n%b\r\n0\r\nX: 1\r\n\r\n" % (len(BODY) - 5, BODY[5:]),
            [200],
            id="chunks with more",
        ),
        pytest.param(CHUNKED, b"zz\r\n" + BODY, [400], id="a chunk without a length"),
        pytest.param(CHUNKED, b"fffffffffffffffff\r\n" + BODY, [400], id="a chunk that no number counts"),
        pytest.param(b"Content-Length: 1\r\n" + LENGTH, BODY, [400], id="lengths that contradict each other"),
        pytest.param(b"Content-Length: -1\r\n", BODY, [400], id="a negative length"),
        pytest.param(b"Content-Length: +5\r\n", BODY, [400], id="a length with a sign"),
        pytest.param(b"Transfer-Encoding: gzip\r\n", BODY, [400], id="a coding that does not end"),
        pytest.param(b"Content-Length : 5\r\n", BODY, [400], id="a space before the colon"),
        pytest.param(b"X: " + b"a" * 20_000 + b"\r\n" + LENGTH, BODY, [431], id="a huge header"),
        pytest.param(b"".join(b"X%d: 1\r\n" % i for i in range(200)) + LENGTH, BODY, [431], id="many headers"),
        pytest.param(
            LENGTH,
            BODY + b"POST " + INFER + b" HTTP/1.1\r\nHost: x\r\n" + LENGTH + b"\r\n" + BODY,
            [200, 200],
            id="two at once",
        ),
    ],
)
async def test_where_a_body_ends(server: Any, headers: bytes, body: bytes, statuses: list[int]) -> None:
    reader, writer = await _connect(server.url)
    writer.write(b"POST " + INFER + b" HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n" + body)
    writer.write(b"GET /v2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" if statuses[0] == 200 else b"")
    said = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    found = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", said)]
    assert found == ([*statuses, 200] if statuses[0] == 200 else statuses)


async def test_no_request_is_smuggled_behind_another(server: Any) -> None:
    """Chunks and a length: whoever counts by the other than a proxy before us would find a second request."""
    reader, writer = await _connect(server.url)
    hidden = b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n"
    head = b"POST " + INFER + b" HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n" % (5 + len(hidden)) + CHUNKED + b"\r\n"
    writer.write(head + b"0\r\n\r\n" + hidden)
    writer.write_eof()
    said = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    assert said.count(b"HTTP/1.1 ") == 1
    assert said.startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("said", [b"", b"P", b"PR", b"PRI * HTTP/2.0\r\n", b"GET /v2 HT"])
async def test_a_client_that_has_said_all_is_not_waited_for(server: Any, said: bytes) -> None:
    """Shorter than the 20 seconds that one who may say more has: probes of TCP say nothing at all."""
    reader, writer = await _connect(server.url)
    writer.write(said)
    writer.write_eof()
    with suppress(ConnectionError):  # bytes that nobody reads
        await asyncio.wait_for(reader.read(), 15)
    writer.close()


async def test_a_client_that_trickles_its_headers_is_cut_off(server: Any) -> None:
    """After 20 seconds; how patience is counted is a unit test of the core's."""
    reader, writer = await _connect(server.url)
    started = time.monotonic()
    with suppress(ConnectionError):  # an end that comes while a byte is on its way
        for byte in itertools.cycle(b"GET /v2 HTTP/1.1\r\nHost: x\r\nX: "):
            writer.write(bytes([byte]))
            await asyncio.sleep(0.25)
            if reader.at_eof() or reader.exception() or time.monotonic() > started + 60:
                break
        assert await reader.read() == b""
    assert 15 < time.monotonic() - started < 45
    writer.close()


async def test_a_client_that_went_away_harms_nobody(server: Any) -> None:
    body = b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,1]}]}'
    head = f"POST /v2/models/hedge/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    for sent in (head, head + body[:10], head + body):
        _, writer = await _connect(server.url)
        writer.write(sent)
        await writer.drain()
        writer.transport.abort()
    reader, writer = await _connect(server.url)
    writer.write(head + body)
    assert (await _answer(reader)).startswith(b"HTTP/1.1 200")
    writer.close()
