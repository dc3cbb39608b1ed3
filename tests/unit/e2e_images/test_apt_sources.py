from __future__ import annotations

from pathlib import Path

import pytest

from e2e.images.apt_sources import release_sources, source_files
from e2e.images.errors import ImagesError

BOOKWORM = 'ID=debian\nVERSION_CODENAME=bookworm\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n'
DEB822 = """\
Types: deb deb-src
# a comment between fields
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates bookworm-backports
Components: main contrib
Signed-By: /usr/share/keyrings/debian.gpg

Types: deb
URIs: http://mirror.test/debian-security
Suites: bookworm-security
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 xsBNBF
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
URIs: http://other.test/tools
Suites: nodistro
Components: main

Types: deb
URIs: http://disabled.test/debian
Suites: bookworm
Components: main
Enabled: no
"""
ONE_LINE = """\
# deb http://commented.test/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/debian.gpg] http://mirror.test/debian bookworm main contrib # why
deb http://mirror.test/debian stable-updates main
deb-src http://source.test/debian bookworm main
deb http://mirror.test/debian bookworm non-free
"""


def lines(tmp_path: Path, name: str, text: str, os_release: str = BOOKWORM) -> list[str]:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return [source.line() for source in release_sources([file], os_release)]


def test_deb822_sources_keep_archive_and_key_and_change_the_release(tmp_path: Path) -> None:
    assert lines(tmp_path, "debian.sources", DEB822) == [
        "deb [signed-by=/usr/share/keyrings/debian.gpg] http://mirror.test/debian trixie main\n",
        "deb [signed-by=/usr/share/keyrings/debian.gpg] http://mirror.test/debian trixie-updates main\n",
        "deb http://mirror.test/debian-security trixie-security main\n",
    ]


def test_one_line_sources_do_too(tmp_path: Path) -> None:
    assert lines(tmp_path, "sources.list", ONE_LINE) == [
        "deb [signed-by=/usr/share/keyrings/debian.gpg] http://mirror.test/debian trixie main\n",
        "deb http://mirror.test/debian trixie-updates main\n",
    ]


def test_a_machine_without_debian_archives_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(ImagesError, match=r"No Debian archive in .*empty"):
        lines(tmp_path, "empty.list", "")


def test_another_distribution_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ImagesError, match=r"no Debian.*MODELCYCLE_BASE=public"):
        lines(tmp_path, "ubuntu.list", "deb http://mirror.test/ubuntu noble main\n", 'ID="ubuntu"\n')


def test_the_files_of_sources_are_those_that_apt_reads(tmp_path: Path) -> None:
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    for name in ("b.sources", "a.list", "old.list.save"):
        (parts / name).touch()
    assert [path.name for path in source_files(tmp_path)] == ["a.list", "b.sources"]
