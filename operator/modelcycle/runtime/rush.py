"""Whether more resources come at once than anybody watches one by one."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta

MANY = 32
WITHIN = timedelta(seconds=30)


class Rush:
    """Of one controller: on while ``MANY`` resources were looked at for the first time within the last ``WITHIN``."""

    def __init__(self) -> None:
        self._latest: deque[datetime] = deque(maxlen=MANY)

    def came(self, now: datetime) -> None:
        """A resource was looked at for the first time."""
        self._latest.append(now)

    def is_on(self, now: datetime) -> bool:
        return len(self._latest) == MANY and now - self._latest[0] < WITHIN
