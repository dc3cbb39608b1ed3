"""Feedback tokens: what was predicted, signed, so that any replica can score the label whenever it comes.

A token is 60 characters of base64url: format (1 byte), version (uint32), event time (int64, nanoseconds since 1970),
prediction (float64), random id (8 bytes), and the first 16 bytes of the HMAC-SHA256 over these; numbers little-endian.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass

FORMAT = 1
ID_BYTES = 8
_BODY = struct.Struct("<BIqd8s")
_MAC_BYTES = 16
_LENGTH = _BODY.size + _MAC_BYTES
MIN_KEY_BYTES = 16


class Malformed(ValueError):
    """The text is no token at all."""


class Forged(ValueError):
    """The text is a token that no key of ours has signed."""


@dataclass(frozen=True, slots=True)
class Token:
    version: int
    event_time: int
    prediction: float
    id: bytes


class Signer:
    """Makes and checks the tokens of one deployment, all of whose replicas have the same key."""

    def __init__(self, key: bytes) -> None:
        if len(key) < MIN_KEY_BYTES:
            raise ValueError(f"a feedback key has at least {MIN_KEY_BYTES} bytes, this one has {len(key)}")
        self.key = key

    def sign(self, version: int, event_times: Iterable[int], predictions: Iterable[float]) -> list[str]:
        """One token a row."""
        rows = zip(event_times, predictions, strict=True)
        return [self._sign(_BODY.pack(FORMAT, version, time, value, os.urandom(ID_BYTES))) for time, value in rows]

    def _sign(self, body: bytes) -> str:
        return base64.urlsafe_b64encode(body + self._mac(body)).decode("ascii")

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self.key, body, "sha256")[:_MAC_BYTES]

    def read(self, text: str) -> Token:
        """The token of ``text``.

        Raises:
            Malformed: it is no token.
            Forged: its signature is not ours.
        """
        try:
            raw = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
        except (UnicodeEncodeError, binascii.Error) as error:
            raise Malformed from error
        if len(raw) != _LENGTH or raw[0] != FORMAT:
            raise Malformed
        body, mac = raw[: _BODY.size], raw[_BODY.size :]
        if not hmac.compare_digest(mac, self._mac(body)):
            raise Forged
        _, version, event_time, prediction, id_ = _BODY.unpack(body)
        return Token(version, event_time, prediction, id_)
