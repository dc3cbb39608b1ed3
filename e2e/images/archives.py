"""OCI layouts, which keep an image's layers from build to build, and the archives that are packed from them."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REFERENCE = "org.opencontainers.image.ref.name"
# containerd takes an image's full name from this one; the standard one it would hang behind "import-<date>:".
_CONTAINERD_NAME = "io.containerd.image.name"
# What the `dir:` transport writes beside the blobs, which it names by their digests.
_NOT_BLOBS = frozenset({"manifest.json", "version"})


@dataclass(frozen=True, slots=True)
class Layout:
    """An OCI image layout in a folder."""

    folder: Path

    @property
    def blobs(self) -> Path:
        return self.folder / "blobs" / "sha256"

    def lacks_old_layers(self, layers: Sequence[str]) -> bool:
        """Say whether any but the last of an image's layers is not here; they are given by their digests."""
        return not all((self.blobs / layer.removeprefix("sha256:")).exists() for layer in layers[:-1])

    def replace_by(self, directory: Path, reference: str) -> None:
        """Become the layout of the image that was written to `dir:directory`, which is used up."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.blobs.mkdir(parents=True)
        manifest = (directory / "manifest.json").read_bytes()
        digest = hashlib.sha256(manifest).hexdigest()
        for path in directory.iterdir():
            if path.name not in _NOT_BLOBS:
                path.rename(self.blobs / path.name)
        (directory / "manifest.json").rename(self.blobs / digest)
        descriptor = {
            "mediaType": json.loads(manifest)["mediaType"],
            "digest": f"sha256:{digest}",
            "size": len(manifest),
            "annotations": {REFERENCE: reference},
        }
        (self.folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}', encoding="utf-8")
        self._write_index(descriptor)

    def pack(self, archive: Path, reference: str, *others: str) -> None:
        """Write one of the images to a tar, under its name and ``others``, and forget the other images."""
        index = json.loads((self.folder / "index.json").read_text(encoding="utf-8"))
        (found,) = (each for each in index["manifests"] if each.get("annotations", {}).get(REFERENCE) == reference)
        names = ({REFERENCE: name, _CONTAINERD_NAME: name} for name in (reference, *others))
        self._write_index(*(found | {"annotations": annotations} for annotations in names))
        blobs = self._blobs_of(found)
        for blob in self.blobs.iterdir():
            if blob.name not in blobs:
                blob.unlink()
        with tarfile.open(archive, "w") as tar:
            for path in ("oci-layout", "index.json", *(f"blobs/sha256/{name}" for name in blobs)):
                tar.add(self.folder / path, path)

    def _blobs_of(self, descriptor: dict[str, Any]) -> list[str]:
        name = descriptor["digest"].removeprefix("sha256:")
        manifest = json.loads((self.blobs / name).read_text(encoding="utf-8"))
        parts = [manifest["config"], *manifest["layers"]]
        return list(dict.fromkeys([name, *(part["digest"].removeprefix("sha256:") for part in parts)]))

    def _write_index(self, *descriptors: dict[str, Any]) -> None:
        index = {"schemaVersion": 2, "manifests": descriptors}
        (self.folder / "index.json").write_text(json.dumps(index), encoding="utf-8")
