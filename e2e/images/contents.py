"""What goes into an image, as a key and as a build context.

The context is staged from the same list of files that the key is made of, so that nothing can get into an image without
being in its key.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from e2e.images.catalogue import Recipe
from e2e.images.errors import ImagesError

KEY_LENGTH = 16
_ARCHIVE_FORMAT = "two names"  # to be changed when archives are packed in another way
# Layer caches look at times and modes, which differ from clone to clone. Wheels are zip files: no year before 1980.
_MTIME = 315_619_200
# Bytecode is the interpreter's own, and no image reads what we write for people.
_LEFT_OUT = (".pyc", ".pyo", ".md")
_FILE_MODE, _EXECUTABLE_MODE = 0o644, 0o755


def files_of(recipe: Recipe, root: Path) -> list[Path]:
    """List the image's files in a fixed order, relative to the root of the repository."""
    found: set[Path] = set()
    for name in (recipe.folder, *recipe.inputs):
        path = root / name
        if not path.exists():
            message = f"The image {recipe.name} is made from {name}, which is missing in {root}."
            raise ImagesError(message)
        found.update(_walk(path) if path.is_dir() else [path])
    return sorted(path.relative_to(root) for path in found)


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__" and not name.startswith(".")]
        yield from (Path(parent, name) for name in names if not name.endswith(_LEFT_OUT))


def key_of(recipe: Recipe, root: Path, base_key: str) -> str:
    """Give the image's content key: it changes with the base, and with every file that goes in."""
    digest = hashlib.sha256(f"{_ARCHIVE_FORMAT}\0{recipe.name}\0{base_key}\0".encode())
    for path in files_of(recipe, root):
        content = hashlib.sha256((root / path).read_bytes()).hexdigest()
        digest.update(f"{path.as_posix()}\0{_mode(root / path):o}\0{content}\0".encode())
    return digest.hexdigest()[:KEY_LENGTH]


def stage(recipe: Recipe, root: Path, context: Path) -> None:
    """Copy the image's files to a build context, with times and modes that are the same in every clone."""
    for path in files_of(recipe, root):
        target = context / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / path, target)
        target.chmod(_mode(root / path))
        os.utime(target, (_MTIME, _MTIME))
    for parent, _, _ in os.walk(context, topdown=False):
        Path(parent).chmod(_EXECUTABLE_MODE)
        os.utime(parent, (_MTIME, _MTIME))


def _mode(path: Path) -> int:
    return _EXECUTABLE_MODE if path.stat().st_mode & 0o100 else _FILE_MODE
