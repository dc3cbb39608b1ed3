"""Which files make up a version, and bringing them here, each verified before it gets its name."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from modelcycle_runtime.artifacts import ArtifactStore
from modelcycle_runtime.errors import ArtifactRefused, ArtifactsUnavailable, DigestMismatch
from modelcycle_runtime.fetch.node_cache import Body, NodeCache

CHUNK_BYTES = 1 << 20
_PROGRESS_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class VersionFile:
    """A file as it was registered; ``path`` begins with ``model/`` or ``modelcycle/``."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """The JSON of ``MODELCYCLE_FETCH``."""

    tracking_uri: str
    model_root: str
    run_root: str
    target: Path
    files: tuple[VersionFile, ...]
    cache: str | None = None


def parse_request(text: str) -> FetchRequest:
    """The request in the JSON ``text``.

    Raises:
        ArtifactRefused: it is not as the contract has it, or a path leads elsewhere.
    """
    try:
        record = json.loads(text)
        files = tuple(VersionFile(str(path), int(size), str(digest)) for path, size, digest in record["files"])
        request = FetchRequest(
            record["trackingUri"],
            record["modelRoot"],
            record["runRoot"],
            Path(record["target"]),
            files,
            record.get("cache"),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactRefused(f"MODELCYCLE_FETCH is not as agreed: {type(error).__name__} {error}") from error
    for file in request.files:
        _check_path(file.path)
    return request


def _check_path(path: str) -> None:
    parts = PurePosixPath(path).parts
    if len(parts) < 2 or parts[0] not in {"model", "modelcycle"} or ".." in parts:
        raise ArtifactRefused(f"file {path!r}: must lie below model/ or modelcycle/")


def address(request: FetchRequest, file: VersionFile) -> str:
    """Artifact URI of ``file``: ``model/x`` is ``<modelRoot>/x``, ``modelcycle/x`` is ``<runRoot>/modelcycle/x``."""
    if file.path.startswith("model/"):
        return f"{request.model_root.rstrip('/')}/{file.path.removeprefix('model/')}"
    return f"{request.run_root.rstrip('/')}/{file.path}"


def fetch_all(request: FetchRequest, store: ArtifactStore, cache: NodeCache, say: Callable[[str], None]) -> None:
    """Brings all files below ``request.target``, from the node's cache if it has them; what is there and right is kept.

    Raises:
        DigestMismatch: a file is another one than was registered.
        ArtifactMissing, ArtifactRefused, ArtifactsUnavailable: see :class:`ArtifactStore`.
    """
    progress = _Progress(request.files, say)
    for file in request.files:
        path = request.target / file.path
        if not _is_right(path, file):
            _fetch(store, cache, address(request, file), file, path, progress)
        progress.finished(file)


def _is_right(path: Path, file: VersionFile) -> bool:
    if not path.is_file() or path.is_symlink() or path.stat().st_size != file.size:
        return False
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest() == file.sha256


def _fetch(
    store: ArtifactStore, cache: NodeCache, uri: str, file: VersionFile, path: Path, progress: _Progress
) -> None:
    part = path.with_name(f".{path.name}.part")
    with _told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    cached = cache.read(file.sha256, file.size, lambda response: _receive(response, file, part, progress))
    if not cached:
        digest = store.read(uri, lambda response: _receive(response, file, part, progress))
        if digest != file.sha256:
            part.unlink()
            raise DigestMismatch(
                f"{uri}: SHA-256 is {digest}, registered was {file.sha256}: the artifact was changed after "
                "registration; restore it, or register a new version"
            )
    with _told(path):
        part.replace(path)
    if not cached:
        cache.give(file.sha256, file.size, path)


def _receive(response: Body, file: VersionFile, part: Path, progress: _Progress) -> str:
    """The digest of a body of the registered size, which is then in ``part``."""
    digest, received = hashlib.sha256(), 0
    with _told(part):
        part.unlink(missing_ok=True)
        part.touch()
    while received <= file.size and (chunk := response.read(CHUNK_BYTES)):
        received += len(chunk)
        digest.update(chunk)
        with _told(part), part.open("ab") as content:
            content.write(chunk)
        progress.receiving(received)
    announced = int(response.headers.get("Content-Length", received))
    if received < announced and received < file.size:
        raise ConnectionError(f"the body ended after {received} of {announced} bytes")
    if received != file.size:
        found = f"{received} bytes" if received < file.size else f"more than {file.size} bytes"
        raise DigestMismatch(f"{response.url}: has {found}, registered were {file.size}: changed after registration")
    return digest.hexdigest()


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Tells trouble with the disk from trouble with the network, which is worth another try."""
    try:
        yield
    except OSError as error:
        raise ArtifactsUnavailable(f"{path} can't be written: {error.strerror}; give the pod more storage") from error


class _Progress:
    """Says how far it is, at most every few seconds."""

    def __init__(self, files: tuple[VersionFile, ...], say: Callable[[str], None]) -> None:
        self._say, self._files = say, len(files)
        self._total = sum(file.size for file in files)
        self._done = self._done_files = 0
        self._started = self._said = time.monotonic()

    def receiving(self, received: int) -> None:
        if time.monotonic() - self._said >= _PROGRESS_SECONDS:
            self._tell(self._done + received)

    def finished(self, file: VersionFile) -> None:
        self._done += file.size
        self._done_files += 1
        if self._done_files == self._files:
            self._tell(self._done)

    def _tell(self, received: int) -> None:
        self._said = time.monotonic()
        elapsed = self._said - self._started
        mebibytes, total = received / 2**20, self._total / 2**20
        self._say(f"{self._done_files} of {self._files} files, {mebibytes:.1f} of {total:.1f} MiB, {elapsed:.1f} s")
