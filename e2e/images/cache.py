"""The cache folder: everything that is made here and worth keeping, outside of the clone and keyed by content."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.progress import say

# An archive is up to 2 GB, and every change of a source makes a new one: the last two serve a person who goes back and
# forth between two branches, or two clones side by side.
ARCHIVES_KEPT = 2


@dataclass(frozen=True, slots=True)
class Cache:
    """The folders under one root."""

    root: Path

    @property
    def archives(self) -> Path:
        return self.root / "images"

    @property
    def storage(self) -> Path:
        return self.root / "buildah"

    def archive(self, name: str, key: str) -> Path:
        return self.archives / f"{name}-{key}.tar"

    def log(self, name: str) -> Path:
        return self.root / "logs" / f"image-{name}.log"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One build at a time: two would fetch the same layers twice, and prune each other's."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "images.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("waiting for another build of images to end")
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def prune_archives(self, name: str) -> None:
        """Remove all but the archives of this image that were last used."""
        key = "[0-9a-f]" * 16
        found = sorted(self.archives.glob(f"{name}-{key}.tar"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in found[ARCHIVES_KEPT:]:
            path.unlink(missing_ok=True)


def default_cache() -> Cache:
    """Give the cache of this user."""
    home = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Cache(Path(home).absolute() / "modelcycle")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a name to write to, which becomes `path` only when the writing ended well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
