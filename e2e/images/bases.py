"""What images are built on: a public image, or a local base where no registry can be reached.

A local base is a small Debian made by mmdebstrap from the machine's own apt sources.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from e2e.images.apt_sources import RELEASE, release_sources, source_files
from e2e.images.builder import Builder
from e2e.images.cache import Cache
from e2e.images.catalogue import Recipe, recipe
from e2e.images.commands import last_line, run_logged
from e2e.images.contents import KEY_LENGTH
from e2e.images.errors import ImagesError
from e2e.progress import step

CHOICE_VARIABLE = "MODELCYCLE_BASE"
PUBLIC, LOCAL = "public", "local"
# Small and pulled quickly: the image that a registry is tried with.
_PROBED_IMAGE = "operator"

# libstdc++6 is what wheels expect of a system; zone information and certificates are what slim public bases have.
_PYTHON = ("ca-certificates", "libstdc++6", "python3", "python3-venv", "tzdata")
PACKAGES = MappingProxyType(
    {
        "python": _PYTHON,
        "torch": (*_PYTHON, "python3-torch"),
        "prometheus": ("ca-certificates", "prometheus", "tzdata"),
    }
)
_NO_DOCUMENTATION = ("path-exclude=/usr/share/man/*", "path-exclude=/usr/share/locale/*",
                     "path-exclude=/usr/share/doc/*", "path-include=/usr/share/doc/*/copyright")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Base:
    """A base image under the name that it has in the builder's store. `public` is None for a local base."""

    name: str
    reference: str
    key: str
    public: str | None

    def __str__(self) -> str:
        return self.public or "a local Debian base (no registry in reach)"


def chosen_kind(builder: Builder, root: Path) -> str:
    """Decide between public and local bases, once for this process and its children."""
    choice = os.environ.get(CHOICE_VARIABLE, "")
    if choice not in (PUBLIC, LOCAL, ""):
        message = f"{CHOICE_VARIABLE} is {choice!r}: it can be {PUBLIC} or {LOCAL}, or not set."
        raise ImagesError(message)
    if not choice:
        public = recipe(_PROBED_IMAGE).public_base(root)
        choice = PUBLIC if builder.reaches(public) else LOCAL
        os.environ[CHOICE_VARIABLE] = choice
    return choice


def base_of(image: Recipe, kind: str, root: Path) -> Base:
    """Give the base of an image, which need not be there yet."""
    public = image.public_base(root) if kind == PUBLIC else None
    description = public or "\n".join((RELEASE, *PACKAGES[image.base], *_NO_DOCUMENTATION))
    key = hashlib.sha256(description.encode()).hexdigest()[:KEY_LENGTH]
    return Base(image.base, f"localhost/modelcycle-base/{kind}-{image.base}:{key}", key, public)


def provide(base: Base, builder: Builder, cache: Cache) -> None:
    """Have the base in the builder's store."""
    if builder.has(base.reference):
        return
    log = cache.log(f"base-{base.name}")
    if base.public is not None:
        with step(f"pulling {base.public}", detail=last_line(log)):
            builder.pull(base.public, base.reference, log)
        return
    with tempfile.TemporaryDirectory(dir=cache.root) as folder:
        tar = Path(folder, f"{base.name}.tar")
        with step(f"making the local {base.name} base from Debian packages", detail=last_line(log)):
            _bootstrap(base.name, tar, log)
        with step(f"importing the local {base.name} base"):
            builder.import_root(tar, base.reference, log)


def _bootstrap(name: str, tar: Path, log: Path) -> None:
    sources = release_sources(source_files(), Path("/etc/os-release").read_text(encoding="utf-8"))
    with tempfile.NamedTemporaryFile("w", suffix=".list") as file:
        file.writelines(source.line() for source in sources)
        file.flush()
        command = [
            "mmdebstrap", "--format=tar", "--variant=essential", f"--include={','.join(PACKAGES[name])}",
            *(f"--dpkgopt={option}" for option in _NO_DOCUMENTATION), RELEASE, str(tar), file.name,
        ]  # fmt: skip
        advice = (
            "It needs root, mmdebstrap (apt-get install mmdebstrap) and the machine's Debian archives within reach."
        )
        run_logged(command, log, advice=advice)
