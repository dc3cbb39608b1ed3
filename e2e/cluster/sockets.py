"""Asking whether a component listens."""

from __future__ import annotations

import socket


def answers(target: str) -> bool:
    """Whether something accepts connections at a socket's path or at host:port."""
    if target.startswith("/"):
        family, address = socket.AF_UNIX, target
    else:
        host, port = target.rsplit(":", 1)
        family, address = socket.AF_INET, (host, int(port))  # type: ignore[assignment]
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(0.5)
        return connection.connect_ex(address) == 0
