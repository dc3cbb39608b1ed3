"""The operator as it was before the last change of it, from git."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
PARTS = ("operator", "crds")


class NoHistory(Exception):
    """There is no earlier operator in this copy of the repository."""


def previous_revision(repository: Path = REPOSITORY) -> str:
    """``MODELCYCLE_UPGRADE_FROM``, or the parent of the last commit that changed the operator or the CRDs.

    Raises ``NoHistory`` where there is none: in a shallow clone, outside of git, and where it never changed.
    """
    named = os.environ.get("MODELCYCLE_UPGRADE_FROM")
    if named:
        return _git(repository, "rev-parse", "--verify", f"{named}^{{commit}}").decode().strip()
    if shutil.which("git") is None or not (repository / ".git").exists():
        raise NoHistory("this is no git repository")
    if _git(repository, "rev-parse", "--is-shallow-repository").strip() == b"true":
        raise NoHistory("this clone is shallow; `git fetch --unshallow` gets the rest")
    last = _git(repository, "log", "-1", "--format=%H %P", "--", *PARTS).decode().split()
    if len(last) < 2:
        raise NoHistory("the operator has never changed")
    return last[1]


def unpack(revision: str, folder: Path) -> Path:
    """The operator and the CRDs of a revision, below ``folder``; gives it."""
    with tarfile.open(fileobj=io.BytesIO(_git(REPOSITORY, "archive", "--format=tar", revision, *PARTS))) as archive:
        archive.extractall(folder, filter="data")
    return folder


def _git(repository: Path, *arguments: str) -> bytes:
    # Nothing of the repository is run; it may well belong to another user than who runs the tests.
    command = ["git", "-c", "safe.directory=*", "-C", str(repository), *arguments]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"git {' '.join(arguments)}: {done.stderr.decode().strip()}")
    return done.stdout
