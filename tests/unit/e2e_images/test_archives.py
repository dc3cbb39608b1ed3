from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

from e2e.images.archives import layout_from_directory, name_layout, pack

REFERENCE = "localhost/modelcycle/sample:0123456789abcdef"
MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}).encode()
LAYER = b"a layer"


def hexdigest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_directory_becomes_an_archive_that_runtimes_can_name(tmp_path: Path) -> None:
    folder, archive = tmp_path / "folder", tmp_path / "image.tar"
    folder.mkdir()
    (folder / "version").write_text("Directory Transport Version: 1.1\n", encoding="utf-8")
    (folder / "manifest.json").write_bytes(MANIFEST)
    (folder / hexdigest(LAYER)).write_bytes(LAYER)

    layout_from_directory(folder)
    name_layout(folder, REFERENCE)
    pack(folder, archive)

    with tarfile.open(archive) as tar:
        files = {member.name: tar.extractfile(member) for member in tar.getmembers() if member.isfile()}
        content = {name: file.read() for name, file in files.items() if file is not None}
    (descriptor,) = json.loads(content.pop("index.json"))["manifests"]
    assert json.loads(content.pop("oci-layout")) == {"imageLayoutVersion": "1.0.0"}
    assert content == {
        f"blobs/sha256/{hexdigest(MANIFEST)}": MANIFEST,
        f"blobs/sha256/{hexdigest(LAYER)}": LAYER,
    }
    assert descriptor == {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": f"sha256:{hexdigest(MANIFEST)}",
        "size": len(MANIFEST),
        "annotations": {"io.containerd.image.name": REFERENCE, "org.opencontainers.image.ref.name": REFERENCE},
    }
