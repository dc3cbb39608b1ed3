"""One at a time: builds of one binary, changes to one cluster. The kernel frees a lock when its holder dies."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from e2e.cluster.paths import cache_home
from e2e.progress import say


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the machine-wide lock of that name. Its file stays in the cache: removing it would let two in."""
    folder = cache_home() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process that works on {name}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
