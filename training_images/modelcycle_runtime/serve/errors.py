"""What a client gets to hear when its request can't be answered."""

from __future__ import annotations


class RequestError(Exception):
    """Answered with ``status`` and ``{"error": message}``; ``closes`` the connection when its rest can't be read."""

    def __init__(self, status: int, message: str, *, closes: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.closes = closes


class BadRequest(RequestError):
    """The request is wrong; the message names the field."""

    def __init__(self, message: str) -> None:
        super().__init__(400, message)
