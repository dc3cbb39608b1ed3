"""What building images needs from a program that can build them: Docker, Podman or buildah."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

LOCAL = "localhost/"


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """One build of a Dockerfile. Layers of `kept_stages` are to be kept for the next build."""

    name: str
    context: Path
    dockerfile: Path
    base: str
    reference: str
    secrets: Mapping[str, Path]
    log: Path
    kept_stages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunRequest:
    """One command in an image's file system. `mounts` are pairs of a host path and `path[:ro]` in the image."""

    reference: str
    command: tuple[str, ...]
    mounts: tuple[tuple[Path, str], ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


class Builder(Protocol):
    """A program with a store of images. What it prints goes to the log; its failures are CommandFailed."""

    def has(self, reference: str) -> bool:
        """Say whether the image is in the store."""
        ...

    def reaches(self, public: str) -> bool:
        """Say whether a public image can be pulled here."""
        ...

    def pull(self, public: str, reference: str, log: Path) -> None:
        """Fetch a public image and call it `reference`."""
        ...

    def import_root(self, tar: Path, reference: str, log: Path) -> None:
        """Make an image of one layer from the tar of a root file system."""
        ...

    def build(self, request: BuildRequest) -> None:
        """Build an image into the store."""
        ...

    def export(self, reference: str, archive: Path, log: Path) -> None:
        """Write an image to an OCI archive."""
        ...

    def load(self, archive: Path, reference: str, log: Path) -> None:
        """Bring an image from its archive back to the store."""
        ...

    def tag(self, reference: str, target: str, log: Path) -> None:
        """Give an image a second name."""
        ...

    def push(self, reference: str, log: Path) -> None:
        """Send an image to the registry that its name begins with."""
        ...

    def run(self, request: RunRequest) -> int:
        """Run a command on the caller's terminal and give its exit status."""
        ...
