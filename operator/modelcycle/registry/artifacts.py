"""Files of MLflow's artifact store: found, read and hashed through the server, without keys to the store behind it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from modelcycle.api.v1alpha1.common import ModelFile
from modelcycle.core.hashing import sha256
from modelcycle.errors import NotFound, Unavailable, Unusable
from modelcycle.registry.answers import FileFields, Listing
from modelcycle.registry.client import MlflowClient
from modelcycle.registry.mlmodel import MALFORMED

# 40 files with paths of 128 characters are 9 KB of JSON: MLflow takes tags of a version up to 100,000 characters.
MAX_FILES = 40
MAX_PATH = 128 - len("modelcycle/")
SMALL_BYTES = 1 << 20
NO_PAGE = frozenset({"text/html"})
NOT_BINARY = NO_PAGE | {"application/json"}
HASHED_IN_THREAD = 1 << 17


@dataclass(frozen=True, slots=True)
class Found:
    """A file below a root. ``path``: relative to it. ``size``: as the server lists it, in bytes."""

    path: str
    size: int


class Artifacts:
    """The artifact store of one MLflow server."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client

    async def listed(self, root: str, room: int = MAX_FILES) -> tuple[Found, ...]:
        """All files below ``root`` (an artifact URI), sorted by path. Calls: one listing for each folder.

        Raises ``Unusable``: TooManyFiles for more than ``room``, ModelMalformed for names that can't be kept.
        """
        base = store_path(root)
        found: list[Found] = []
        folders = [""]
        for folder in folders:  # grows while we go
            listing = await self._client.list_artifacts(f"{base}/{folder}".rstrip("/"), Listing)
            for file in listing.files:
                path = path_below(folder, file)
                if file.is_dir:
                    folders.append(path)
                else:
                    found.append(Found(path, file.file_size))
            if len(found) + len(folders) - 1 > room:
                raise Unusable(
                    "TooManyFiles", f"{root} has more files and folders than {room}: log only what serving needs"
                )
        return tuple(sorted(found, key=lambda file: file.path))

    async def content(self, root: str, path: str) -> bytes:
        """A small file. Raises ``Unusable`` (ModelMalformed) when it is missing or larger than 1 MiB."""
        body = bytearray()
        async with self._opened(root, path, never=NO_PAGE) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > SMALL_BYTES:
                    raise Unusable(MALFORMED, f"{root}/{path} is larger than {SMALL_BYTES} bytes")
        return bytes(body)

    async def hashed(self, root: str, file: Found, prefix: str) -> ModelFile:
        """The digest of a file of any size, recorded below ``prefix``. Raises ``Unavailable`` if it is in flux."""
        async with self._opened(root, file.path) as chunks:
            recorded = await _digested(chunks, prefix + file.path)
        if recorded.size != file.size:
            raise Unavailable(
                f"{root}/{file.path} has {recorded.size} bytes instead of the {file.size} listed: is it being written?"
            )
        return recorded

    async def graph(self, root: str, path: str, prefix: str) -> tuple[ModelFile, bool]:
        """The digest of an ONNX file that was not listed, and whether weights lie in files beside it.

        Raises ``Unusable`` (ModelMalformed) for a path that can't be kept, or leads elsewhere.
        """
        search = WeightsBeside()
        async with self._opened(root, path_below("", FileFields(path=path)), never=NOT_BINARY) as chunks:
            recorded = await _digested(chunks, prefix + path, search.see)
        return recorded, search.found

    @asynccontextmanager
    async def _opened(
        self, root: str, path: str, *, never: frozenset[str] = frozenset()
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        try:
            async with self._client.download(f"{store_path(root)}/{path}", never=never) as chunks:
                yield chunks
        except NotFound as error:
            raise Unusable(MALFORMED, f"{root} has no file {path}: log the model again") from error


class WeightsBeside:
    """Looks for tensors whose data is in another file, in the bytes of an ONNX file as they come.

    ONNX says so in an entry of ``TensorProto.external_data`` (a StringStringEntryProto) whose key is ``location``. The
    same bytes in a tensor's own data cost a listing, and nothing else.
    """

    _KEY = b"\x0a\x08location"

    def __init__(self) -> None:
        self.found = False
        self._end = b""

    def see(self, chunk: bytes) -> None:
        self.found = self.found or self._KEY in self._end + chunk[: len(self._KEY)] or self._KEY in chunk
        self._end = (self._end + chunk[-len(self._KEY) :])[-len(self._KEY) + 1 :]


async def _digested(
    chunks: AsyncIterator[bytes], path: str, see: Callable[[bytes], None] = lambda chunk: None
) -> ModelFile:
    digest, size = hashlib.sha256(), 0
    async for chunk in chunks:
        size += len(chunk)
        see(chunk)
        if len(chunk) < HASHED_IN_THREAD:
            digest.update(chunk)
        else:
            await asyncio.to_thread(digest.update, chunk)
    return ModelFile(path=path, size=size, sha256=digest.hexdigest())


def file_of(content: bytes, name: str) -> ModelFile:
    return ModelFile(path=name, size=len(content), sha256=hashlib.sha256(content).hexdigest())


def rows(files: Iterable[ModelFile]) -> list[list[str | int]]:
    """The files as they are recorded in a tag and digested: ``[[path, size, sha256], ...]``, sorted."""
    return sorted([file.path, file.size, file.sha256] for file in files)


def manifest_digest(files: Iterable[ModelFile]) -> str:
    return sha256(rows(files))


def store_path(uri: str) -> str:
    """Path in the server's artifact store of an artifact URI. Raises ``Unusable`` for any other kind of URI."""
    parts = urlsplit(uri)
    if parts.scheme != "mlflow-artifacts" or parts.netloc or not parts.path.strip("/"):
        raise Unusable(
            "ArtifactsNotProxied",
            f"the files are at {uri}, which only those with keys to that store can read: start mlflow server with "
            "--serve-artifacts and --artifacts-destination, and log to an experiment made since",
        )
    return parts.path.strip("/")


def path_below(folder: str, file: FileFields) -> str:
    """Path below the root. The server lists names below the folder that was asked for."""
    path = f"{folder}/{file.path}".lstrip("/")
    harmless = file.path.isascii() and file.path.isprintable() and not {"", ".", ".."} & set(path.split("/"))
    if not harmless or len(path) > MAX_PATH:
        raise Unusable(
            MALFORMED,
            f"the file name {ascii(path)[: 2 * MAX_PATH]} can't be used: at most {MAX_PATH} printable ASCII characters",
        )
    return path
