"""Handing labels to the replica that owns their token, so that one sent twice is seen wherever it arrives.

The owner is found by rendezvous hashing (Thaler and Ravishankar, 1998) of the token's id over the replicas' addresses:
all replicas agree without talking, and when one comes or goes only its own share moves.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import aiohttp

HANDED_OVER = "modelcycle-handed-over"
"""Header of a request that comes from a replica: it is scored where it arrives."""

_REFRESH_SECONDS = 5.0
_TIMEOUT_SECONDS = 2.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, order=True)
class Address:
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def owner(id_: bytes, replicas: Iterable[Address]) -> Address | None:
    """The replica that owns ``id_``; None when there is none."""
    return max(replicas, key=lambda replica: (_weight(id_, replica), replica), default=None)


def _weight(id_: bytes, replica: Address) -> bytes:
    return blake2b(id_ + str(replica).encode(), digest_size=8).digest()


def parse_names(peers: str, default_port: int) -> tuple[Address, ...]:
    """Names and ports of ``host[:port],...``."""
    return tuple(_parse_name(one.strip(), default_port) for one in peers.split(",") if one.strip())


def _parse_name(text: str, default_port: int) -> Address:
    host, _, port = text.partition(":")
    return Address(host, int(port) if port else default_port)


class Peers:
    """The other replicas, by the addresses that DNS gives for their names."""

    def __init__(self, names: Sequence[Address], own_port: int, path: str) -> None:
        self._names, self._own_port, self._path = names, own_port, path
        self._replicas: frozenset[Address] = frozenset()
        self._own: frozenset[Address] = frozenset()
        self._resolved = 0.0
        self._client: aiohttp.ClientSession | None = None

    async def owners(self, ids: Sequence[bytes]) -> list[Address | None]:
        """The peer that owns each id; None for one's own."""
        if not self._names:
            return [None] * len(ids)
        await self._refresh()
        found = (owner(id_, self._replicas) for id_ in ids)
        return [None if one in self._own else one for one in found]

    async def hand_over(self, peer: Address, rows: Sequence[Mapping[str, Any]]) -> list[str] | None:
        """What ``peer`` says of each row, or None when it can't be reached."""
        import aiohttp  # a tenth of a second that a start need not wait for

        self._client = self._client or aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS))
        try:
            async with self._client.post(
                f"http://{peer}{self._path}", data=json.dumps({"feedback": rows}), headers={HANDED_OVER: "1"}
            ) as response:
                results = (await response.json())["results"] if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, OSError, KeyError, ValueError) as error:
            log.warning("feedback: %s can't be reached (%s); its rows are scored here", peer, type(error).__name__)
            return None
        return results if isinstance(results, list) and len(results) == len(rows) else None

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def _refresh(self) -> None:
        if self._resolved and time.monotonic() - self._resolved < _REFRESH_SECONDS:
            return
        self._resolved = time.monotonic()
        self._replicas = frozenset([address for name in self._names for address in await _resolve(name)])
        self._own = frozenset(one for one in self._replicas if one.port == self._own_port and _is_local(one.host))


async def _resolve(name: Address) -> list[Address]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name.host, name.port, type=socket.SOCK_STREAM)
    except OSError as error:
        log.warning("peers: %s can't be resolved: %s", name.host, error)
        return []
    return [Address(str(address[4][0]), name.port) for address in found]


def _is_local(host: str) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True
