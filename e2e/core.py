"""Builds the serving core, ``modelcycle_core``, and puts it where Python finds it beside its stub.

What was built lies in the cache outside of the clone, keyed by the sources and the compiler, so that a second clone and
a second run build nothing.

    python -m e2e.core            build it, unless it is there
    python -m e2e.core lint       its formatting and lints
    python -m e2e.core test       its unit tests
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from e2e.cluster.locks import locked
from e2e.images.cache import default_cache
from e2e.progress import step

ROOT = Path(__file__).resolve().parents[1]
CRATE = ROOT / "training_images" / "serving" / "core"
LIBRARY = ROOT / "training_images" / "modelcycle_core.abi3.so"
_MINIMUM = (1, 92)
_ADVICE = (
    f"The serving core needs Rust {_MINIMUM[0]}.{_MINIMUM[1]} or newer with cargo on PATH: install it by your system's "
    "packages or by rustup (rust-lang.org), and run this again."
)
# Programs for tests are linked with no Python: what they test is below it.
_WITHOUT_PYTHON = ("--locked", "--no-default-features")


class CoreError(Exception):
    """The core can't be built; the message says what to do."""


def main(words: list[str]) -> int:
    try:
        match words:
            case []:
                build()
            case ["lint"]:
                _cargo("fmt", "--check")
                for what in (("--locked",), (*_WITHOUT_PYTHON, "--all-targets")):
                    _cargo("clippy", *what, "--quiet", "--", "--deny", "warnings")
            case ["test"]:
                _cargo("test", *_WITHOUT_PYTHON)
            case _:
                raise CoreError("usage: python -m e2e.core [lint | test]")
    except CoreError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def build() -> Path:
    """The library, built if need be, and linked into the source tree."""
    built = _cache() / f"core-{_key()}" / LIBRARY.name
    if not built.exists():
        with locked("core"):  # clones share the target: the library there has to be that of these sources
            _build(built)
    if not LIBRARY.is_symlink() or LIBRARY.readlink() != built:
        LIBRARY.unlink(missing_ok=True)
        LIBRARY.symlink_to(built)
    return built


def _build(built: Path) -> None:
    if built.exists():  # by whoever was waited for
        return
    with step("building the serving core (Rust)"):
        _cargo("build", "--release", "--locked", "--quiet")
        built.parent.mkdir(parents=True, exist_ok=True)
        partial = built.with_name(f".{os.getpid()}")
        shutil.copyfile(_target() / "release" / "libmodelcycle_core.so", partial)
        partial.rename(built)


def examples() -> Path:
    """The folder of the program that the core is measured beside: ``echo``."""
    with step("building the echo (Rust)", quiet=True):
        _cargo("build", "--release", "--locked", "--quiet", "--no-default-features", "--examples")
    return _target() / "release" / "examples"


def _cargo(*words: str) -> None:
    environment = {**os.environ, "CARGO_TARGET_DIR": str(_target())}
    try:
        subprocess.run(["cargo", *words], cwd=CRATE, env=environment, check=True)
    except FileNotFoundError as error:
        raise CoreError(_ADVICE) from error
    except subprocess.CalledProcessError as error:
        raise CoreError(
            f"cargo {words[0]} failed in {CRATE.relative_to(ROOT)}; its output is above. {_ADVICE}"
        ) from error


def _target() -> Path:
    return Path(os.environ.get("CARGO_TARGET_DIR") or _cache() / "core-target")


def _cache() -> Path:
    return default_cache().root


def _key() -> str:
    """Of everything that goes into the library."""
    try:
        compiler = subprocess.run(["rustc", "--version", "--verbose"], capture_output=True, check=True).stdout
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        raise CoreError(_ADVICE) from error
    digest = hashlib.sha256(compiler)
    for path in sorted([CRATE / "Cargo.toml", CRATE / "Cargo.lock", *(CRATE / "src").rglob("*.rs")]):
        digest.update(f"\0{path.relative_to(CRATE)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
