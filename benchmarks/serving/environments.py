"""What the peers need, installed once below the cache folder, each in an environment of its own."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from e2e.images.cache import default_cache
from e2e.progress import step

REQUIREMENTS = Path(__file__).parent / "peers"


def environment(name: str) -> Path:
    """The Python that has what ``peers/<name>.txt`` pins."""

    def make(folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, env=clean())
        _pip(folder / "bin" / "python", "-r", str(REQUIREMENTS / f"{name}.txt"))

    return _kept(name, make) / "bin" / "python"


def wheel(name: str) -> Path:
    """The folder of what ``peers/<name>.txt`` pins, without what that depends on."""
    return _kept(
        name,
        lambda folder: _pip(
            Path(sys.executable), "--no-deps", "--target", str(folder), "-r", str(REQUIREMENTS / f"{name}.txt")
        ),
    )


def clean() -> Mapping[str, str]:
    """The environment variables, but for those that point Python at this repository."""
    return {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}


def _kept(name: str, make: Callable[[Path], None]) -> Path:
    content = (REQUIREMENTS / f"{name}.txt").read_bytes() + sys.version.encode()
    folder = default_cache().root / f"peer-{name}-{hashlib.sha256(content).hexdigest()[:12]}"
    complete = folder / ".complete"
    if not complete.exists():
        with step(f"installing {name}"):
            shutil.rmtree(folder, ignore_errors=True)  # what an interrupted run left
            make(folder)
            complete.touch()
    return folder


def _pip(python: Path, *words: str) -> None:
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    subprocess.run([*pip, "--require-hashes", *words], check=True, env=clean())
