"""Every Dockerfile can be built on a public and on a local base, and its image be run by a strict cluster."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from e2e.images.bases import PACKAGES
from e2e.images.catalogue import RECIPES, ROOT, Recipe

each_image = pytest.mark.parametrize("image", [pytest.param(image, id=image.name) for image in RECIPES])


def dockerfile(image: Recipe) -> str:
    return (ROOT / image.dockerfile).read_text(encoding="utf-8")


def test_every_dockerfile_is_in_the_catalogue() -> None:
    folders = {path.parent.name for path in ROOT.glob("training_images/*/Dockerfile")}
    assert folders == {image.name for image in RECIPES}


@each_image
def test_the_base_is_an_argument_that_defaults_to_a_public_image_without_a_registry_host(image: Recipe) -> None:
    public = image.public_base(ROOT)
    first, separator, _ = public.partition("/")
    assert not (separator and re.search(r"[.:]|^localhost$", first)), f"{public} names a registry"
    assert ":" in public, f"{public} has no tag"
    assert image.base in PACKAGES


@each_image
def test_every_stage_begins_with_the_base_or_an_earlier_stage(image: Recipe) -> None:
    stages = {"${BASE_IMAGE}"}
    for found in re.finditer(r"^FROM (\S+)(?: AS (\S+))?$", dockerfile(image), re.MULTILINE):
        assert found[1] in stages
        stages.add(found[2])
    assert set(image.kept_stages) <= stages


@each_image
def test_what_is_copied_is_what_the_key_covers(image: Recipe) -> None:
    copied = [
        word
        for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile(image), re.MULTILINE)
        for word in line.split()[:-1]
    ]
    assert sorted(copied) == sorted(image.inputs)


@each_image
def test_the_container_is_an_ordinary_user_with_a_home_outside_of_the_root_file_system(image: Recipe) -> None:
    last_stage = dockerfile(image).rpartition("\nFROM ")[2]
    assert "\nUSER 65532:65532\n" in last_stage
    assert "\nWORKDIR /tmp\n" in last_stage
    assert "org.opencontainers.image.title=" in last_stage
    assert "\nENTRYPOINT [" in last_stage


@each_image
def test_pip_installs_hashed_requirements_only_and_leaves_no_cache(image: Recipe) -> None:
    for command in re.findall(r"pip install((?:[^\n]*\\\n)*[^\n]*)", dockerfile(image)):
        assert "--no-cache-dir" in command
        assert "--require-hashes" in command or "--no-index --no-deps" in command


def test_what_an_image_build_by_hand_needs_is_not_ignored() -> None:
    lines = Path(ROOT, ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = [line[1:] for line in lines if line.startswith("!")]
    for name in {name for image in RECIPES for name in (image.dockerfile, *image.inputs)}:
        assert any(name.startswith(f"{each}/") or Path(name).match(each) for each in allowed), name
