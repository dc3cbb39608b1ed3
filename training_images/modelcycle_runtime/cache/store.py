"""Files by their SHA-256 on a bounded disk; the least recently read goes first.

A file gets its name when its content is on the disk and has the digest that it is named by, so that a crash, a full
disk and a wrong content leave no wrong file. Names are the only record: after a restart everything is there again, in
the order of the files' times.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

CHUNK_BYTES = 1 << 20
DIGEST = re.compile(r"[0-9a-f]{64}")
SPARE_SHARE = 0.15
"""Of the disk that is left free: below 10 to 15 % the kubelet evicts pods, and this one would have brought it there."""
_PART = ".part"


class NotKept(Exception):
    """The file is not taken in; ``reason`` is a word for metrics."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes of the file system."""

    total: int
    free: int


def allowance(configured: int, used: int, disk: Disk) -> int:
    """Bytes that all files together may take: what was configured, and no more than leaves the disk its spare share."""
    spare = int(disk.total * SPARE_SHARE)
    return max(0, min(configured, used + disk.free - spare))


def evicted(sizes: OrderedDict[str, int], used: int, needed: int, limit: int) -> list[str] | None:
    """Which files go, the first of ``sizes`` first, so that ``needed`` bytes fit below ``limit``; None: they can't.

    ``used`` counts what is being received as well.
    """
    gone: list[str] = []
    left = used
    for digest, size in sizes.items():
        if left + needed <= limit:
            break
        gone.append(digest)
        left -= size
    return gone if left + needed <= limit else None


class Store:
    """Thread-safe. ``on_evicted`` hears of each file that had to make room."""

    def __init__(
        self,
        folder: Path,
        size: int,
        on_evicted: Callable[[], None],
        disk: Callable[[Path], Disk] = lambda folder: _disk(folder),
    ) -> None:
        """Takes up what is in ``folder``. Raises OSError."""
        self._folder, self._size, self._on_evicted, self._disk = folder, size, on_evicted, disk
        self._lock = threading.Lock()
        self._sizes: OrderedDict[str, int] = OrderedDict()  # the least recently read first
        self._receiving = 0
        folder.mkdir(parents=True, exist_ok=True)
        self._take_up()

    @property
    def used(self) -> int:
        with self._lock:
            return sum(self._sizes.values())

    @property
    def files(self) -> int:
        with self._lock:
            return len(self._sizes)

    def open(self, digest: str) -> tuple[BinaryIO, int] | None:
        """The file and its size, or None. What is open can be read to its end, also when it has to go meanwhile."""
        with self._lock:
            if digest not in self._sizes:
                return None
            path = self._folder / digest
            try:
                content = path.open("rb")
            except FileNotFoundError:  # somebody cleaned up
                del self._sizes[digest]
                return None
            self._sizes.move_to_end(digest)
            os.utime(content.fileno())
            return content, os.fstat(content.fileno()).st_size

    def keep(self, digest: str, size: int, chunks: Iterator[bytes]) -> None:
        """Takes in a file of ``size`` bytes; it replaces one of its name.

        Raises:
            NotKept: too large, no room, or the content is another one.
            OSError: ``chunks`` broke off, or the disk is at fault.
        """
        part = self._folder / f"{uuid4().hex}{_PART}"
        with self._room(size):
            try:
                self._receive(part, digest, size, chunks)
                with self._lock:
                    part.replace(self._folder / digest)
                    self._sizes.pop(digest, None)
                    self._sizes[digest] = size
            finally:
                part.unlink(missing_ok=True)

    @contextmanager
    def _room(self, size: int) -> Iterator[None]:
        """Room for a file that is being received."""
        with self._lock:
            kept = sum(self._sizes.values())
            limit = allowance(self._size, kept + self._receiving, self._disk(self._folder))
            gone = evicted(self._sizes, kept + self._receiving, size, limit)
            if gone is None:
                raise NotKept("room", f"{size} bytes don't fit: the cache may hold {limit} now")
            for digest in gone:
                self._remove(digest)
                self._on_evicted()
            self._receiving += size
        try:
            yield
        finally:
            with self._lock:
                self._receiving -= size

    def _receive(self, part: Path, digest: str, size: int, chunks: Iterator[bytes]) -> None:
        found, received = hashlib.sha256(), 0
        with part.open("wb") as content:
            for chunk in chunks:
                received += len(chunk)
                if received > size:
                    break
                found.update(chunk)
                content.write(chunk)
            content.flush()
            os.fsync(content.fileno())
        if received != size or found.hexdigest() != digest:
            raise NotKept("digest", f"the content is not that of {digest} with {size} bytes")

    def _remove(self, digest: str) -> None:
        del self._sizes[digest]
        (self._folder / digest).unlink(missing_ok=True)

    def _take_up(self) -> None:
        found: list[tuple[float, str, int]] = []
        for path in self._folder.iterdir():
            if DIGEST.fullmatch(path.name) and path.is_file() and not path.is_symlink():
                about = path.stat()
                found.append((about.st_mtime, path.name, about.st_size))
            elif path.suffix == _PART:
                with suppress(OSError):
                    path.unlink()
        self._sizes.update((digest, size) for _, digest, size in sorted(found))


def _disk(folder: Path) -> Disk:
    usage = shutil.disk_usage(folder)
    return Disk(usage.total, usage.free)
