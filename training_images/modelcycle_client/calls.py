"""What both clients know of a server: where it is, and what is asked of it. No input or output."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from modelcycle_client.errors import InvalidInput
from modelcycle_client.protocol import Request, model_path, refusal

JOINED_BYTES = 256 * 1024
"""Bodies up to this are joined, which costs less than to send their parts one by one."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server's address: scheme, host and port, and what comes before ``/v2`` in a path, as behind a gateway."""

    origin: str
    prefix: str
    model: str
    version: str | None

    def path(self, suffix: str) -> str:
        return f"{self.prefix}{model_path(self.model, self.version)}{suffix}"

    @property
    def ready_path(self) -> str:
        return self.path("/ready")


@dataclass(frozen=True, slots=True)
class Came:
    """An answer of HTTP; ``headers`` finds names in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def checked(self) -> Came:
        """The same, if it is a 200.

        Raises:
            ClientError: it is not.
        """
        if self.status != 200:
            raise refusal(self.status, self.headers, self.body)
        return self


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked: ``make`` makes the request of the seconds that are left for it."""

    method: str
    path: str
    make: Callable[[float | None], Request]


def read_server(url: str, model: str, version: str | None) -> Server:
    """The server at ``url``.

    Raises:
        InvalidInput: it is no address of HTTP.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise InvalidInput(f"url: must be http://HOST[:PORT] or https://HOST[:PORT], is {url!r}")
    return Server(f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/"), model, version)


def asking(path: str) -> Call:
    """A call that sends nothing."""
    return Call("GET", path, lambda _: Request({}, ()))


def joined(request: Request) -> bytes | None:
    """The body in one piece, unless it is large."""
    size = sum(len(part) for part in request.parts)
    return b"".join(request.parts) if size <= JOINED_BYTES else None
