"""Who is bringing a file that is not there yet: one, while the others wait for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_SECONDS, _LONGEST_SECONDS, _BYTES_PER_SECOND = 15.0, 600.0, 8 << 20


def claim_seconds(size: int) -> float:
    """How long whoever brings a file of ``size`` bytes is waited for: 15 s, longer if it is large, 600 s at most."""
    return min(_LONGEST_SECONDS, _SECONDS + size / _BYTES_PER_SECOND)


class Claims:
    """Who asks first for a missing file has the claim to it until it is there, or its time is over."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}
        self._lock = threading.Lock()

    def take(self, digest: str, size: int) -> bool:
        """Whether the caller is to bring the file of ``size`` bytes; False while somebody else is doing so."""
        with self._lock:
            now = self._clock()
            self._until = {claimed: until for claimed, until in self._until.items() if until > now}
            if digest in self._until:
                return False
            self._until[digest] = now + claim_seconds(size)
            return True

    def end(self, digest: str) -> None:
        """The file is there, or can't be kept: nobody has to be waited for."""
        with self._lock:
            self._until.pop(digest, None)
