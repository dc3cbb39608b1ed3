"""OCI image layouts, made into archives that every container runtime names right."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

# containerd takes an image's full name from its own annotation; the standard one it would hang behind "import-<date>:".
_NAME_ANNOTATIONS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")


def seal(layout: Path, reference: str, archive: Path) -> None:
    """Write a layout that holds one image to a tar, with the image's name where runtimes look for it."""
    index_file = layout / "index.json"
    index = json.loads(index_file.read_text(encoding="utf-8"))
    (manifest,) = index["manifests"]
    manifest.setdefault("annotations", {}).update(dict.fromkeys(_NAME_ANNOTATIONS, reference))
    index_file.write_text(json.dumps(index), encoding="utf-8")
    with tarfile.open(archive, "w") as tar:
        for path in sorted(layout.rglob("*")):
            tar.add(path, path.relative_to(layout).as_posix(), recursive=False)
