from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from e2e.images.archives import Layout

NAME = "localhost/modelcycle/sample:0123456789abcdef"
OCI = "application/vnd.oci.image"
CONFIG, BASE, SOURCES = b"{}", b"a base", b"sources"


def hexdigest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def manifest(*layers: bytes) -> bytes:
    described = [{"digest": f"sha256:{hexdigest(layer)}"} for layer in layers]
    config = {"digest": f"sha256:{hexdigest(CONFIG)}"}
    return json.dumps({"mediaType": f"{OCI}.manifest.v1+json", "config": config, "layers": described}).encode()


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A layout of an image of two layers, as buildah's `dir:` gave it."""
    directory = tmp_path / "directory"
    directory.mkdir()
    (directory / "version").write_text("Directory Transport Version: 1.1\n", encoding="utf-8")
    (directory / "manifest.json").write_bytes(manifest(BASE, SOURCES))
    for blob in (CONFIG, BASE, SOURCES):
        (directory / hexdigest(blob)).write_bytes(blob)
    made = Layout(tmp_path / "layout")
    made.replace_by(directory, NAME)
    return made


def content(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        files = {member.name: tar.extractfile(member) for member in tar.getmembers()}
        return {name: file.read() for name, file in files.items() if file is not None}


def only_manifest(files: dict[str, bytes]) -> dict[str, Any]:
    (descriptor,) = json.loads(files["index.json"])["manifests"]
    assert isinstance(descriptor, dict)
    return descriptor


def blobs(*contents: bytes) -> set[str]:
    return {f"blobs/sha256/{hexdigest(each)}" for each in contents}


def test_an_archive_is_a_layout_with_the_name_where_runtimes_look_for_it(layout: Layout, tmp_path: Path) -> None:
    layout.pack(tmp_path / "image.tar", NAME)
    files = content(tmp_path / "image.tar")
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    assert set(files) - {"oci-layout", "index.json"} == blobs(manifest(BASE, SOURCES), CONFIG, BASE, SOURCES)
    assert only_manifest(files) == {
        "mediaType": f"{OCI}.manifest.v1+json",
        "digest": f"sha256:{hexdigest(manifest(BASE, SOURCES))}",
        "size": len(manifest(BASE, SOURCES)),
        "annotations": {"io.containerd.image.name": NAME, "org.opencontainers.image.ref.name": NAME},
    }


def test_an_archive_may_give_its_image_several_names(layout: Layout, tmp_path: Path) -> None:
    for _ in range(2):  # the layout is packed again by the next build
        layout.pack(tmp_path / "image.tar", NAME, "localhost/modelcycle/sample:1.2.3")
    described = json.loads(content(tmp_path / "image.tar")["index.json"])["manifests"]
    assert [one["annotations"]["io.containerd.image.name"] for one in described] == [
        NAME,
        "localhost/modelcycle/sample:1.2.3",
    ]
    assert len({one["digest"] for one in described}) == 1


def test_an_image_that_was_added_takes_the_place_of_the_earlier_one(layout: Layout, tmp_path: Path) -> None:
    new_manifest, new_name = manifest(BASE, b"new sources"), f"{NAME}-new"
    for blob in (new_manifest, b"new sources"):
        (layout.blobs / hexdigest(blob)).write_bytes(blob)
    index = json.loads((layout.folder / "index.json").read_text(encoding="utf-8"))
    digest, annotations = f"sha256:{hexdigest(new_manifest)}", {"org.opencontainers.image.ref.name": new_name}
    index["manifests"].append({"digest": digest, "annotations": annotations})
    (layout.folder / "index.json").write_text(json.dumps(index), encoding="utf-8")

    layout.pack(tmp_path / "image.tar", new_name)

    files = content(tmp_path / "image.tar")
    assert only_manifest(files)["digest"] == digest
    assert set(files) - {"oci-layout", "index.json"} == blobs(new_manifest, CONFIG, BASE, b"new sources")
    assert {f"blobs/sha256/{path.name}" for path in layout.blobs.iterdir()} == blobs(
        new_manifest, CONFIG, BASE, b"new sources"
    )


@pytest.mark.parametrize(
    ("layers", "lacks"),
    [
        pytest.param((BASE, SOURCES), False, id="all are there"),
        pytest.param((BASE, b"new sources"), False, id="the last is new"),
        pytest.param((b"new base", b"new sources"), True, id="an earlier one is new"),
    ],
)
def test_only_a_new_last_layer_is_added_to_what_is_there(
    layout: Layout, layers: tuple[bytes, ...], lacks: bool
) -> None:
    assert layout.lacks_old_layers([f"sha256:{hexdigest(layer)}" for layer in layers]) is lacks


def test_a_layout_that_is_not_there_lacks_all(tmp_path: Path) -> None:
    assert Layout(tmp_path / "none").lacks_old_layers(["sha256:1", "sha256:2"])
