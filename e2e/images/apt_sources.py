"""The machine's own apt sources, turned into sources of the Debian release that local bases are made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from e2e.images.errors import ImagesError

# The first Debian that packages torch 2; its Python is 3.13.
RELEASE = "trixie"

_MOVING_NAMES = ("stable", "oldstable", "testing")
_POCKETS = ("", "-updates", "-security")


@dataclass(frozen=True, slots=True)
class Source:
    """One archive and suite, with the key file that signs it where the machine names one."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str | None = None

    def line(self) -> str:
        option = f"[signed-by={self.signed_by}] " if self.signed_by else ""
        return f"deb {option}{self.uri} {self.suite} {' '.join(self.components)}\n"


def source_files(root: Path = Path("/etc/apt")) -> list[Path]:
    """List apt's files of sources."""
    parts = root / "sources.list.d"
    return [
        path
        for path in (root / "sources.list", *sorted(parts.glob("*.list")), *sorted(parts.glob("*.sources")))
        if path.is_file()
    ]


def release_sources(files: Iterable[Path], os_release: str) -> list[Source]:
    """Give the sources of RELEASE at the archives that this machine installs its own Debian from."""
    facts = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    if facts.get("ID", "").strip('"') != "debian":
        message = (
            "A local base image is made from the machine's own Debian packages, and this machine is no Debian. Make a "
            "public registry reachable, or use a machine with Docker or Podman and the base images already pulled "
            "(MODELCYCLE_BASE=public)."
        )
        raise ImagesError(message)
    own_names = {facts.get("VERSION_CODENAME", "").strip('"'), *_MOVING_NAMES}
    pockets = {name + pocket: RELEASE + pocket for name in own_names for pocket in _POCKETS}
    found = [
        Source(source.uri, pockets[source.suite], ("main",), source.signed_by)
        for file in files
        for source in _parse(file)
        if source.suite in pockets and "main" in source.components
    ]
    if not any(source.suite == RELEASE for source in found):
        message = (
            f"No Debian archive in {', '.join(map(str, files)) or 'the apt sources'}: a local base image needs one."
        )
        raise ImagesError(message)
    return list(dict.fromkeys(found))


def _parse(file: Path) -> Iterator[Source]:
    text = file.read_text(encoding="utf-8")
    return _parse_paragraphs(text) if file.suffix == ".sources" else _parse_lines(text)


def _parse_lines(text: str) -> Iterator[Source]:
    for line in text.splitlines():
        kind, _, rest = line.partition("#")[0].strip().partition(" ")
        if kind != "deb":
            continue
        rest, options = rest.strip(), ""
        if rest.startswith("["):
            options, _, rest = rest[1:].partition("]")
        uri, suite, *components = rest.split()
        signed_by = dict(option.split("=", 1) for option in options.split() if "=" in option).get("signed-by")
        yield Source(uri, suite, tuple(components), signed_by)


def _parse_paragraphs(text: str) -> Iterator[Source]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for paragraph in "\n".join(lines).split("\n\n"):
        # A line that begins with a space goes on with the field above.
        fields = dict(
            line.split(":", 1) for line in paragraph.replace("\n ", "  ").splitlines() if ":" in line.partition(" ")[0]
        )
        if "deb" not in fields.get("Types", "").split() or fields.get("Enabled", "yes").strip() == "no":
            continue
        signed_by = fields.get("Signed-By", "").strip()
        for uri in fields.get("URIs", "").split():
            for suite in fields.get("Suites", "").split():
                # A key can also be written out in the field; apt's own keyring serves then.
                key_file = signed_by if signed_by.startswith("/") else None
                yield Source(uri, suite, tuple(fields.get("Components", "").split()), key_file)
