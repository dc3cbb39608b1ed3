"""Progress lines for everything that takes longer than a few seconds.

One line per finished step, with the seconds since this process (or the one that started it) began:

    [  0.0s] building kubernetes ...
    [ 15.2s] building kubernetes: still at it after 15s
    [ 41.0s] building kubernetes: done in 41.0s

Lines go to stderr, so that stdout stays free for what a command prints for other programs.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

HEARTBEAT_SECONDS = 15.0
_EPOCH_VARIABLE = "MODELCYCLE_PROGRESS_EPOCH"

# Wall-clock time, and handed down to child processes, so that a command made of several programs counts as one.
_epoch = float(os.environ.setdefault(_EPOCH_VARIABLE, repr(time.time())))


def elapsed() -> float:
    """Seconds since the first program of this command started."""
    return time.time() - _epoch


def say(message: str) -> None:
    """Print one line with the elapsed time in front."""
    print(f"[{elapsed():6.1f}s] {message}", file=sys.stderr, flush=True)


@contextmanager
def step(message: str, *, detail: Callable[[], str] | None = None, quiet: bool = False) -> Iterator[None]:
    """Announce a step, say every 15 seconds (later every minute) that it goes on, and at last how long it took.

    `detail` gives a few words for the "still at it" lines (a log's last line, a count). `quiet` leaves out the first
    line, for steps that usually take less than a second.
    """
    if not quiet:
        say(f"{message} ...")
    started = time.monotonic()
    finished = threading.Event()
    ticker = threading.Thread(target=_tick, args=(message, started, finished, detail), daemon=True)
    ticker.start()
    try:
        yield
    except BaseException:
        say(f"{message}: FAILED after {time.monotonic() - started:.1f}s")
        raise
    else:
        say(f"{message}: done in {time.monotonic() - started:.1f}s")
    finally:
        finished.set()
        ticker.join()


def _tick(message: str, started: float, finished: threading.Event, detail: Callable[[], str] | None) -> None:
    for beat in itertools.count():
        # After the first minute once a minute: what takes that long is not watched line by line.
        if finished.wait(HEARTBEAT_SECONDS * (1 if beat < 4 else 4)):
            return
        words = detail() if detail else ""
        say(f"{message}: still at it after {time.monotonic() - started:.0f}s" + (f" ({words})" if words else ""))
