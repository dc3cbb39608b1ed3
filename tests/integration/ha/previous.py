"""The operator as it was before the last change of it, from git."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
PARTS = ("operator", "crds")


class NoHistory(Exception):
    """This copy of the repository ends with its newest commits."""


def previous_revision() -> str:
    """``MODELCYCLE_UPGRADE_FROM``, or the parent of the last commit that changed the operator or the CRDs.

    Raises ``NoHistory`` where there is none: in a shallow clone, and outside of git.
    """
    named = os.environ.get("MODELCYCLE_UPGRADE_FROM")
    if named:
        return _git("rev-parse", named).decode().strip()
    if not (REPOSITORY / ".git").exists():
        raise NoHistory("this is no git repository")
    if _git("rev-parse", "--is-shallow-repository").strip() == b"true":
        raise NoHistory("this clone is shallow (git fetch --unshallow)")
    last = _git("log", "-1", "--format=%H", "--", *PARTS).decode().strip()
    return _git("rev-parse", f"{last}^").decode().strip()


def unpack(revision: str, folder: Path) -> Path:
    """The operator and the CRDs of a revision, below ``folder``; gives it."""
    with tarfile.open(fileobj=io.BytesIO(_git("archive", "--format=tar", revision, *PARTS))) as archive:
        archive.extractall(folder, filter="data")
    return folder


def _git(*arguments: str) -> bytes:
    done = subprocess.run(["git", "-C", str(REPOSITORY), *arguments], capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"git {' '.join(arguments)}: {done.stderr.decode().strip()}")
    return done.stdout
