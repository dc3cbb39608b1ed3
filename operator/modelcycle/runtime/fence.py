"""Who may write: the replica that holds the lease, and only until the lease's deadline by its own monotonic clock."""

from __future__ import annotations

import time
from collections.abc import Callable

from modelcycle.errors import Fenced


class LeaseFence:
    """Closed until ``allow_until`` is called. A pause of the process, however long, can't carry a write over it.

    ``term``: another number whenever it was closed in between, since somebody else may have written meanwhile.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self.term = 0
        self._deadline = float("-inf")

    def allow_until(self, deadline: float) -> None:
        """Writes may be started until ``deadline``, a time of the monotonic clock."""
        self.term += not self.is_open
        self._deadline = deadline

    def close(self) -> None:
        self._deadline = float("-inf")

    @property
    def is_open(self) -> bool:
        return self._monotonic() < self._deadline

    def check(self) -> None:
        if not self.is_open:
            raise Fenced("this replica does not hold the lease: nothing is written")


class OpenFence:
    """For writes that no lease guards: the lease's own."""

    term = 0

    def check(self) -> None:
        return
