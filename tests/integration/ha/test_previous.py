from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.integration.ha.previous import NoHistory, previous_revision


@pytest.fixture(autouse=True)
def _unnamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MODELCYCLE_UPGRADE_FROM", raising=False)


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false")
    command = ["git", *who, "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder: Path, path: str, content: str) -> str:
    (folder / path).parent.mkdir(exist_ok=True)
    (folder / path).write_text(content)
    git(folder, "add", path)
    git(folder, "commit", "-q", "-m", content)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q")
    commit(folder, "operator/code.py", "one")
    return folder


def test_it_is_the_one_before_the_last_change_of_the_operator(repository: Path) -> None:
    before = commit(repository, "docs/page.md", "two")
    commit(repository, "crds/kind.yaml", "three")
    commit(repository, "docs/page.md", "four")
    assert previous_revision(repository) == before


def test_where_there_is_none(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(NoHistory, match="never changed"):
        previous_revision(repository)
    with pytest.raises(NoHistory, match="no git repository"):
        previous_revision(tmp_path)
    commit(repository, "operator/code.py", "two")
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{repository}", "shallow")
    with pytest.raises(NoHistory, match="shallow"):
        previous_revision(tmp_path / "shallow")


def test_a_name_is_taken_at_its_word(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELCYCLE_UPGRADE_FROM", "HEAD")
    assert previous_revision(repository) == git(repository, "rev-parse", "HEAD")
