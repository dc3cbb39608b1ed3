"""The one interface of all ways to get a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from e2e.cluster.options import Options


@dataclass(frozen=True)
class Status:
    running: bool
    lines: tuple[str, ...]
    """For people: one thing each."""


class Provider(Protocol):
    """Brings up, looks after and takes away the cluster of one name."""

    @property
    def name(self) -> str: ...

    def up(self, options: Options) -> None:
        """Bring it up, or leave it as it is when it is up. What an earlier, killed `up` left is removed first."""

    def down(self) -> None:
        """Take it away and leave nothing."""

    def status(self) -> Status: ...

    def load_image(self, archive: Path) -> None:
        """Import an OCI or Docker archive, so that pods can use its images."""

    def kubeconfig(self) -> Path: ...

    def kubectl(self) -> Path:
        """A kubectl whose version fits."""
