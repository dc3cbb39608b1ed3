"""The programs that a cluster is made of, built once from their published Go modules and kept by content."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import toolchain
from e2e.cluster.errors import BuildError, ClusterError
from e2e.cluster.locks import locked
from e2e.cluster.paths import cache_home
from e2e.progress import step

SOURCES = Path(__file__).parent / "go"
KUBERNETES_VERSION = "v1.34.4"
_VERSION_PACKAGE = "k8s.io/component-base/version"


@dataclass(frozen=True)
class Build:
    """One Go module of ours, and the names under which its binary is started."""

    name: str
    programs: tuple[str, ...]
    package: str = "."
    stamps: tuple[str, ...] = ()
    expected: str = "about a minute"

    @property
    def source(self) -> Path:
        return SOURCES / self.name


BUILDS = (
    Build(
        "kubernetes",
        ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"),
        stamps=(
            f"{_VERSION_PACKAGE}.gitVersion={KUBERNETES_VERSION}",
            f"{_VERSION_PACKAGE}.gitMajor={KUBERNETES_VERSION[1:].split('.')[0]}",
            f"{_VERSION_PACKAGE}.gitMinor={KUBERNETES_VERSION.split('.')[1]}",
        ),
        expected="about 8 minutes on 2 cores",
    ),
    Build("coredns", ("coredns",), expected="about 2 minutes"),
    Build("helm", ("helm",), package="helm.sh/helm/v3/cmd/helm", expected="about 2 minutes"),
    Build("kwok", ("kwok",), package="sigs.k8s.io/kwok/cmd/kwok", expected="about 2 minutes"),
    Build("kind", ("kind",), package="sigs.k8s.io/kind", expected="about a minute"),
    Build("pause", ("pause",), expected="a few seconds"),
)
_BY_PROGRAM = {program: build for build in BUILDS for program in build.programs}


def program(name: str) -> Path:
    """The path of a program by its name, built first when the cache has none."""
    build = _BY_PROGRAM.get(name)
    if build is None:
        raise ClusterError(f"no program named {name!r}; there are {', '.join(sorted(_BY_PROGRAM))}")
    return folder_of(build) / name


def folder_of(build: Build) -> Path:
    """The folder with a build's programs, built first when the cache has none."""
    go = toolchain.find_or_fetch()
    folder = cache_home() / "bin" / f"{build.name}-{build_key(build, go.version)}"
    if not folder.exists():
        with locked(f"build-{build.name}"):
            if not folder.exists():  # another process may have built it while this one waited
                _build(build, go, folder)
    return folder


def build_key(build: Build, go_version: str) -> str:
    """A hash of everything that decides what comes out."""
    digest = hashlib.sha256(f"{go_version} {build}".encode())
    for file in sorted(build.source.iterdir()):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def _build(build: Build, go: toolchain.Toolchain, folder: Path) -> None:
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    log = cache_home() / "logs" / f"build-{build.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    binary = partial / f"modelcycle-{build.name}"
    with log.open("w") as output, step(f"building {build.name} ({build.expected}, once)", detail=lambda: _count(log)):
        failed = subprocess.run(
            _command(build, go, binary), cwd=build.source, env=go.environment, stdout=output, stderr=output, check=False
        ).returncode
    if failed:
        raise BuildError(f"building {build.name} failed", log=log, do="fix what the log says and run this again")
    for name in build.programs:
        (partial / name).symlink_to(binary.name)
    partial.rename(folder)


def _count(log: Path) -> str:
    return f"{len(log.read_text(errors='replace').splitlines())} packages so far"


def _command(build: Build, go: toolchain.Toolchain, binary: Path) -> list[str]:
    stamps = " ".join(f"-X {stamp}" for stamp in build.stamps)
    command = [str(go.go), "build", "-v", "-ldflags", f"-s -w {stamps}".strip(), "-o", str(binary), build.package]
    # A build that takes all cores for minutes should not be what makes the machine hard to use.
    return ["nice", "-n", "5", *command] if os.nice(0) < 5 else command
