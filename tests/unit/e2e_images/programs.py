"""Stand-ins for the programs that build images: they record how they were called."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Programs:
    """Programs on a PATH of their own: each call's words are added to one file."""

    folder: Path

    def add(self, name: str, body: str = "") -> None:
        """Install a shell script that records its call, then does what `body` says."""
        script = self.folder / name
        record = shlex.quote(str(self.folder / "calls"))
        script.write_text(f'#!/bin/sh\necho "{name} $*" >> {record}\n{body}\n', encoding="utf-8")
        script.chmod(0o755)

    def calls(self) -> list[str]:
        """Give the calls so far, each as one line."""
        try:
            return (self.folder / "calls").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
