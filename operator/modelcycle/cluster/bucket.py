"""A token bucket, so that a storm of ours never becomes the API server's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


class TokenBucket:
    """``rate`` requests a second in the long run, ``burst`` at once. Waiters are served in order."""

    def __init__(self, rate: float, burst: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._interval = 1.0 / rate
        self._room = (burst - 1) * self._interval
        self._monotonic = monotonic
        self._full_at = monotonic()

    async def take(self) -> None:
        delay = self.reserve()
        if delay > 0:
            await asyncio.sleep(delay)

    def reserve(self) -> float:
        """Takes a token, perhaps of the future; returns how many seconds to wait until it may be used."""
        now = self._monotonic()
        self._full_at = max(self._full_at, now) + self._interval
        return max(0.0, self._full_at - self._interval - self._room - now)

    def pause(self, seconds: float) -> None:
        """No token for ``seconds``: the server asked us to wait (Retry-After)."""
        self._full_at = max(self._full_at, self._monotonic() + seconds + self._room)
