"""OCI archives, named so that every container runtime finds the name."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

# containerd takes an image's full name from its own annotation; the standard one it would hang behind "import-<date>:".
_NAME_ANNOTATIONS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
_LAYOUT = {"imageLayoutVersion": "1.0.0"}
# What the `dir:` transport writes beside the blobs, which it names by their digests.
_NOT_BLOBS = frozenset({"manifest.json", "version"})


def name_layout(layout: Path, reference: str) -> None:
    """Give the one image of an OCI layout its name."""
    index_file = layout / "index.json"
    index = json.loads(index_file.read_text(encoding="utf-8"))
    (manifest,) = index["manifests"]
    manifest.setdefault("annotations", {}).update(dict.fromkeys(_NAME_ANNOTATIONS, reference))
    index_file.write_text(json.dumps(index), encoding="utf-8")


def layout_from_directory(folder: Path) -> None:
    """Turn what buildah wrote to `dir:` into an OCI layout, in place.

    Written to `oci:` the layers would be compressed, which costs a minute for torch and gains nothing on one machine.
    """
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    manifest = (folder / "manifest.json").read_bytes()
    digest = hashlib.sha256(manifest).hexdigest()
    for path in folder.iterdir():
        if path.is_file() and path.name not in _NOT_BLOBS:
            path.rename(blobs / path.name)
    (folder / "manifest.json").rename(blobs / digest)
    (folder / "version").unlink()
    descriptor = {
        "mediaType": json.loads(manifest)["mediaType"],
        "digest": f"sha256:{digest}",
        "size": len(manifest),
    }
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [descriptor]}), encoding="utf-8")
    (folder / "oci-layout").write_text(json.dumps(_LAYOUT), encoding="utf-8")


def pack(layout: Path, archive: Path) -> None:
    """Write a layout to a tar."""
    with tarfile.open(archive, "w") as tar:
        for path in sorted(layout.rglob("*")):
            tar.add(path, path.relative_to(layout).as_posix(), recursive=False)
