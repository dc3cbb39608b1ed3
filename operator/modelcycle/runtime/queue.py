"""The work queue: each key once, one worker a key, backoff, and "look again at".

As in client-go: a key that is added while it waits is the same key; one that is added while somebody works on it waits
until that is done, so no change is missed and no two workers ever have the same key.
"""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import Callable

from modelcycle.runtime.alarms import Alarms
from modelcycle.runtime.metrics import Metrics
from modelcycle.runtime.ports import Key

Line = OrderedDict[Key, float]  # since when each waits, the first one first
BACKOFF_FIRST = 1.0
BACKOFF_LONGEST = 300.0
CROWD = 256  # of known keys that wait: before it no new ones are begun
FAIR_SHARE = 64  # of so many keys taken, one is whoever has waited longest, in whatever line


def backoff(failures: int, jitter: float) -> float:
    """Seconds to wait after ``failures`` (>= 1) in a row: from 1 s doubling to 5 min, plus up to a fifth."""
    return min(BACKOFF_LONGEST, BACKOFF_FIRST * 2.0 ** min(failures - 1, 16)) * (1 + 0.2 * jitter)


class WorkQueue:
    """Keys of one controller. Closed, it takes keys in, but hands none out: a standby's queue.

    A key waits in one of three lines. What is new goes before what was looked at before, since its pods are to start,
    until there is a crowd: thousands that are made at once are not all taken from step to step together, half done
    until the last one is; some are finished before more are begun. Last comes what is merely looked at again, so that
    a user's change doesn't stand behind ten thousand keys after a change of leader.
    """

    def __init__(self, name: str, metrics: Metrics, jitter: Callable[[], float] = random.random) -> None:
        self._jitter = jitter
        self._new: Line = OrderedDict()
        self._going: Line = OrderedDict()
        self._resync: Line = OrderedDict()
        self._lines = (self._new, self._going, self._resync)
        self._begun: set[Key] = set()
        self._working: dict[Key, float] = {}
        self._again: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._alarms = Alarms(self.add)
        self._is_open = False
        self._taken = 0
        self._ready = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._depth = metrics.depth.labels(name)
        self._adds = metrics.adds.labels(name)
        self._waited = metrics.waited.labels(name)
        self._worked = metrics.worked.labels(name)
        self._retries = metrics.retries.labels(name)

    # --- adding ------------------------------------------------------------------------------------------------------
    def add(self, key: Key, *, resync: bool = False) -> None:
        self._adds.inc()
        if key in self._working:
            self._again.add(key)
            return
        waits = next((line for line in self._lines if key in line), None)
        if waits is None or (waits is self._resync and not resync):
            since = self._now() if waits is None else waits.pop(key)
            self._line(key, resync=resync)[key] = since
        self._depth.set(self._waiting())
        self._ready.set()

    def look_again(self, key: Key, seconds: float | None) -> None:
        """Add ``key`` in ``seconds``, instead of what was asked for it before; None: only when something happens."""
        if seconds is None:
            self._alarms.clear(key)
        else:
            self._alarms.set(key, seconds)

    def retry(self, key: Key, after: float | None = None) -> float:
        """Add ``key`` again after its backoff, or after ``after`` if that is longer. Returns the seconds."""
        self._failures[key] = self._failures.get(key, 0) + 1
        seconds = max(after or 0.0, backoff(self._failures[key], self._jitter()))
        self._retries.inc()
        self.look_again(key, seconds)
        return seconds

    def succeeded(self, key: Key) -> None:
        """The next failure of ``key`` is its first again."""
        self._failures.pop(key, None)

    def forget(self, key: Key) -> None:
        """What had this key is gone: whatever has it next is new."""
        self._begun.discard(key)
        self.succeeded(key)
        self.look_again(key, None)

    def failures(self, key: Key) -> int:
        return self._failures.get(key, 0)

    # --- taking ------------------------------------------------------------------------------------------------------
    async def get(self) -> Key:
        while not (self._is_open and self._waiting()):
            self._ready.clear()
            await self._ready.wait()
        return self._take()

    def done(self, key: Key) -> None:
        self._worked.observe(self._now() - self._working.pop(key))
        if not self._working:
            self._idle.set()
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def open(self) -> None:
        """Hand keys out."""
        self._is_open = True
        self._ready.set()

    def close(self) -> None:
        self._is_open = False

    async def idle(self) -> None:
        """Returns as soon as nobody works on a key."""
        await self._idle.wait()

    def _line(self, key: Key, *, resync: bool) -> Line:
        if resync:
            return self._resync
        return self._going if key in self._begun else self._new

    def _waiting(self) -> int:
        return sum(map(len, self._lines))

    def _take(self) -> Key:
        self._taken += 1
        key, since = self._next().popitem(last=False)
        self._begun.add(key)
        now = self._now()
        self._waited.observe(now - since)
        self._depth.set(self._waiting())
        self._working[key] = now
        self._idle.clear()
        return key

    def _next(self) -> Line:
        lines = [line for line in self._lines if line]
        if self._taken % FAIR_SHARE == 0:
            return min(lines, key=lambda line: next(iter(line.values())))
        return self._going if len(self._going) >= CROWD else lines[0]

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
