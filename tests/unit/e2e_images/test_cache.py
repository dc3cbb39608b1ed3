from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.images.cache import ARCHIVES_KEPT, Cache, default_cache, replacing
from e2e.images.catalogue import ROOT


def test_the_archives_used_last_are_kept_and_no_other_image_is_touched(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.archives.mkdir()
    mine = [cache.archive("serving", f"{number:016x}") for number in range(ARCHIVES_KEPT + 2)]
    other = cache.archive("serving-gpu", f"{0:016x}")
    for age, path in enumerate([*mine, other]):
        path.touch()
        os.utime(path, (1000 - age, 1000 - age))
    cache.prune_archives("serving")
    assert set(cache.archives.iterdir()) == {*mine[:ARCHIVES_KEPT], other}


def test_what_was_not_written_to_the_end_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "image.tar"
    with pytest.raises(RuntimeError, match="interrupted"):
        _write_half(path)
    assert list(path.parent.iterdir()) == []


def _write_half(path: Path) -> None:
    with replacing(path) as partial:
        partial.write_text("half", encoding="utf-8")
        raise RuntimeError("interrupted")


def test_what_was_written_to_the_end_takes_the_place(tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    path.write_text("old", encoding="utf-8")
    with replacing(path) as partial:
        partial.write_text("new", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_the_cache_is_where_the_user_keeps_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache().root == tmp_path / "modelcycle"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert default_cache().root == Path("/home/someone/.cache/modelcycle")


def test_a_second_build_waits_and_says_so(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from e2e.images.cache import Cache\n"
        "with Cache(Path(sys.argv[1])).lock(): print('in')"
    )
    with Cache(tmp_path).lock():
        second = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert second.stderr is not None
        assert "waiting for another build" in second.stderr.readline()
        assert second.poll() is None
    output, _ = second.communicate(timeout=30)
    assert output == "in\n"
