"""When a request is sent again, and after how long.

Sent again is what was surely not carried out (no connection; a 503 that says when to come back), and what was not
answered at all since the connection ended, as those that are kept do now and then. The latter may have been carried
out: inference changes nothing but what the server counts, so that such rows may be twice in its counters and in the
histograms of features and predictions. Feedback counts once all the same, as the server refuses a token that it has
seen. Never sent again: what was answered otherwise, an answer that broke off, and anything for which the caller's
timeout leaves no time.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from modelcycle_client.errors import BrokenOff, Busy, ClientError, ConnectFailed, ConnectionLost, DeadlineExceeded


@dataclass(frozen=True, slots=True)
class Retries:
    """How often, and how patiently."""

    attempts: int = 3
    """All in all; with 1 nothing is sent again."""
    pause: float = 0.1
    """Seconds before another attempt, doubled each time; of these a random part between half and all is waited."""
    longest_pause: float = 2.0


def pause(error: ClientError, attempt: int, retries: Retries, left: float | None, chance: float) -> float | None:
    """Seconds until another attempt follows ``error`` of the n-th; None when it is final.

    ``left`` are the seconds of the caller's timeout, ``chance`` is a random number from 0 to 1.
    """
    wait = _wait(error, attempt, retries, chance)
    if wait is None or attempt >= retries.attempts or (left is not None and wait >= left):
        return None
    return wait


def _wait(error: ClientError, attempt: int, retries: Retries, chance: float) -> float | None:
    if isinstance(error, Busy) and error.retry_after is not None:
        # Never sooner than asked, and not all clients at once.
        return error.retry_after * (1 + chance / 2)
    if isinstance(error, BrokenOff):
        return None
    if isinstance(error, ConnectionLost) and attempt == 1:
        # Most likely one that had been kept, and that the server closed meanwhile: a new one is as good as any.
        return 0.0
    if isinstance(error, (ConnectFailed, ConnectionLost)):
        return float(min(retries.longest_pause, retries.pause * 2 ** (attempt - 1)) * (1 + chance) / 2)
    return None


class Course:
    """One call of the caller's: its attempts, and what is left of its timeout (None: it has all the time)."""

    def __init__(
        self,
        retries: Retries,
        timeout: float | None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._retries, self._clock, self._chance = retries, clock, chance
        self._timeout = timeout
        self._end = None if timeout is None else clock() + timeout
        self._attempt = 0
        self.may_be_twice = False
        """An attempt may have been carried out without an answer."""

    def begin(self) -> float | None:
        """Begin an attempt; gives the seconds that it may take.

        Raises:
            DeadlineExceeded: there are none.
        """
        self._attempt += 1
        left = self.left()
        if left is not None and left <= 0:
            raise DeadlineExceeded(f"no answer within {self._timeout:g} s")
        return left

    def left(self) -> float | None:
        return None if self._end is None else self._end - self._clock()

    def after(self, error: ClientError) -> float:
        """Seconds until the next attempt.

        Raises:
            ClientError: ``error`` itself, if it is final.
        """
        wait = pause(error, self._attempt, self._retries, self.left(), self._chance())
        if wait is None:
            raise error
        self.may_be_twice |= isinstance(error, ConnectionLost)
        return wait
