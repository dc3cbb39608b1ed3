"""What travels on a connection: requests of HTTP/1.1 as their bytes, frames of HTTP/2, messages of gRPC in them."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Sequence
from urllib.parse import urlsplit

from hypothesis import strategies as st

from tests.integration.serving.fuzz.bodies import EDITS, MESSAGE, edited, mostly, right_message

_JSON = b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,1]}]}'
_INFER = b"/v2/models/hedge/infer"
_PATIENCE = 15.0
"""Shorter than the server's: whoever has said all is answered or left at once, not when its time is over."""

# -- HTTP/1.1 --

_LENGTHS = st.sampled_from(
    [b"%d" % len(_JSON)] * 4
    + [
        b"0",
        b"5",
        b"-1",
        b"+%d" % len(_JSON),
        b"0x46",
        b"70, 70",
        b"70, 71",
        b"",
        b"99999999999999999999999",
        b"1000000",
    ]
)
_HEADERS = st.one_of(
    _LENGTHS.map(lambda length: b"Content-Length: " + length),
    st.sampled_from(
        [b"chunked", b"identity", b"chunked, chunked", b"gzip, chunked", b"xchunked", b" chunked", b""]
    ).map(lambda coding: b"Transfer-Encoding: " + coding),
    st.sampled_from(
        [
            b"Expect: 100-continue",
            b"Expect: more",
            b"Connection: close",
            b"Connection: Upgrade",
            b"Upgrade: h2c",
            b"Content-Encoding: gzip",
            b"Content-Length : 70",
            b" folded: 1",
            b"no colon",
            b"nul: \0",
            b": nameless",
            b"Inference-Header-Content-Length: 9",
            b"Host: y",
        ]
    ),
    st.integers(1, 20_000).map(lambda length: b"X: " + b"a" * length),
    st.integers(1, 200).map(lambda count: b"\r\n".join(b"X%d: 1" % i for i in range(count))),
)
_CHUNKS = st.lists(
    st.tuples(
        st.sampled_from(
            [b"%x" % len(_JSON)] * 3 + [b"1", b"0", b"-1", b"fffffffffffffffff", b"zz", b"", b"46;a=b", b"046"]
        ),
        st.just(_JSON) | st.binary(max_size=5),
        st.sampled_from([b"\r\n", b"\n", b""]),
    ),
    max_size=3,
).map(lambda chunks: b"".join(size + b"\r\n" + data + end for size, data, end in chunks) + b"0\r\n\r\n")


def _request_of(method: bytes, target: bytes, version: bytes, headers: Sequence[bytes], body: bytes) -> bytes:
    return b"\r\n".join([b" ".join([method, target, version]), b"Host: x", *headers, b"", b""]) + body


_RIGHT = st.just(([b"Content-Length: %d" % len(_JSON)], _JSON)) | st.just(
    ([b"Transfer-Encoding: chunked"], b"%x\r\n%b\r\n0\r\n\r\n" % (len(_JSON), _JSON))
)
_ODD_BODY = st.tuples(st.lists(_HEADERS, max_size=4), st.just(_JSON) | _CHUNKS | st.binary(max_size=30))
_HTTP1_REQUEST = st.builds(
    lambda method, target, version, more, rest: _request_of(method, target, version, [*rest[0], *more], rest[1]),
    mostly(
        st.just(b"POST"),
        st.sampled_from([b"GET", b"PUT", b"HEAD", b"OPTIONS", b"CONNECT", b"TRACE", b"P\0ST", b"post"]),
    ),
    mostly(
        st.just(_INFER),
        st.sampled_from([b"/", b"*", b"http://x/v2", b"/%ff", b"/v2/models/../x", b"/" + b"a" * 9000, b""]),
    ),
    mostly(st.just(b"HTTP/1.1"), st.sampled_from([b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.10", b""])),
    mostly(st.just([]), st.lists(_HEADERS, max_size=2)),
    _RIGHT | _ODD_BODY,
)
HTTP1 = st.lists(_HTTP1_REQUEST, min_size=1, max_size=3).map(b"".join)
HTTP1 = HTTP1 | st.builds(edited, HTTP1, EDITS)

# -- HTTP/2 --

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEADERS_FRAME, _DATA, _SETTINGS = 1, 0, 4
_END_STREAM, _END_HEADERS = 1, 4


def frame(kind: int, flags: int, stream: int, payload: bytes, off: int = 0) -> bytes:
    """A frame; ``off`` is by how much its length is wrong."""
    length = max(0, len(payload) + off)
    return struct.pack(">I", length)[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def _fields(fields: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Headers as HPACK has them, literally; none is longer than 126 bytes."""
    return b"".join(b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value for name, value in fields)


_CALL = (
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/inference.GRPCInferenceService/ModelInfer"),
    (b":authority", b"x"),
    (b"content-type", b"application/grpc"),
    (b"te", b"trailers"),
)
_FIELD = st.tuples(
    st.sampled_from(
        [b":path", b":method", b":status", b"content-length", b"grpc-timeout", b"grpc-encoding", b"TE", b""]
    ),
    st.sampled_from([b"POST", b"/", _INFER, b"70", b"-1", b"1n", b"99999999H", b"gzip", b"\0", b""]),
)
_BLOCK = (
    st.just(_fields(_CALL))
    | st.builds(lambda more: _fields([*_CALL, *more]), st.lists(_FIELD, max_size=3))
    | st.lists(_FIELD, max_size=6).map(_fields)
    | st.binary(max_size=40)
)
_STREAMS = st.sampled_from([1] * 6 + [3, 5, 0, 2, 2**31 - 1])
_FLAGS = st.sampled_from([0, _END_STREAM, _END_HEADERS, _END_STREAM | _END_HEADERS]) | st.integers(0, 255)
_FRAME = st.one_of(
    st.builds(frame, st.just(_HEADERS_FRAME), _FLAGS, _STREAMS, _BLOCK),
    st.builds(frame, st.just(_DATA), _FLAGS, _STREAMS, st.binary(max_size=40)),
    st.builds(
        frame,
        st.just(_SETTINGS),
        st.sampled_from([0, 1]),
        st.sampled_from([0, 0, 1]),
        st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2**32 - 1)), max_size=3).map(
            lambda pairs: b"".join(struct.pack(">HI", *pair) for pair in pairs)
        ),
    ),
    st.builds(
        frame,
        st.just(8),
        st.just(0),
        _STREAMS,
        st.sampled_from([0, 1, 2**31 - 1]).map(lambda size: struct.pack(">I", size)),
    ),
    st.builds(
        frame, st.integers(0, 12), _FLAGS, _STREAMS, st.binary(max_size=12), st.sampled_from([0, 0, 0, 1, -1, 2**20])
    ),
)


def _http2(frames: Sequence[bytes]) -> bytes:
    return _PREFACE + frame(_SETTINGS, 0, 0, b"") + b"".join(frames)


HTTP2 = st.lists(_FRAME, min_size=1, max_size=8).map(_http2)


def _call(body: bytes, parts: int, end: int) -> bytes:
    step = max(1, len(body) // parts)
    cuts = [body[at : at + step] for at in range(0, len(body), step)] or [b""]
    data = [frame(_DATA, end if at == len(cuts) - 1 else 0, 1, cut) for at, cut in enumerate(cuts)]
    return _http2([frame(_HEADERS_FRAME, _END_HEADERS, 1, _fields(_CALL)), *data])


def _prefixed(message: bytes, flag: int, off: int) -> bytes:
    return bytes([flag]) + struct.pack(">I", max(0, len(message) + off)) + message


GRPC = st.builds(
    _call,
    st.lists(
        st.builds(
            _prefixed,
            MESSAGE | st.just(right_message()),
            st.sampled_from([0, 0, 0, 1, 2, 255]),
            st.sampled_from([0, 0, 0, 1, -1, 2**31]),
        ),
        max_size=2,
    ).map(b"".join)
    | st.binary(max_size=9),
    st.integers(1, 4),
    st.sampled_from([_END_STREAM, _END_STREAM, _END_STREAM, 0]),
)

# -- Talking --


def told(url: str, sent: bytes) -> bytes:
    """All that the server says to ``sent`` until it ends the connection, which it has to."""
    where = urlsplit(url)
    with socket.create_connection((where.hostname, where.port), timeout=_PATIENCE) as connection:
        said = bytearray()
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                said += part
        except (ConnectionError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise
        return bytes(said)


def http1_statuses(said: bytes) -> list[int]:
    """Of all answers in ``said``; those that only say to go on are none."""
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", said) if int(status) >= 200]
