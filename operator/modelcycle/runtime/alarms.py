"""When keys are to be looked at again: one time for each key, and one timer of the event loop for all of them."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from itertools import count

from modelcycle.runtime.ports import Key

SPARE = 64  # times that no longer count are let lie until there are this many more of them than of those that do


class Alarms:
    """``ring(key)`` is called when its time has come.

    Ten thousand resources that have ended wait for days to be removed: a timer of the event loop for each, with the
    context that it was set in, would take 0.8 KiB, an entry in the heap a tenth of it.
    """

    def __init__(self, ring: Callable[[Key], None]) -> None:
        self._ring = ring
        self._due: dict[Key, float] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._numbers = count()  # so that no two entries are equal, since keys have no order
        self._timer: asyncio.TimerHandle | None = None
        self._wound = 0.0  # for when

    def set(self, key: Key, seconds: float) -> None:
        """Ring for ``key`` in ``seconds``, instead of when it was to ring before."""
        due = asyncio.get_running_loop().time() + max(0.0, seconds)
        self._due[key] = due
        heapq.heappush(self._heap, (due, next(self._numbers), key))
        if len(self._heap) > 2 * len(self._due) + SPARE:
            self._heap = [(due, next(self._numbers), key) for key, due in self._due.items()]
            heapq.heapify(self._heap)
        self._wind()

    def clear(self, key: Key) -> None:
        self._due.pop(key, None)

    def _wind(self) -> None:
        """Have a timer for the first entry, or an earlier one."""
        if not self._heap or (self._timer is not None and self._wound <= self._heap[0][0]):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._wound = self._heap[0][0]
        self._timer = asyncio.get_running_loop().call_at(self._wound, self._go_off)

    def _go_off(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._heap and self._heap[0][0] <= now:
            due, _, key = heapq.heappop(self._heap)
            if self._due.get(key) == due:
                del self._due[key]
                self._ring(key)
        self._wind()
