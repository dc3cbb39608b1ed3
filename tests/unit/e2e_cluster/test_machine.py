"""What is looked for on the machine, and what errors and progress say."""

from __future__ import annotations

import io
import json
import re
import tarfile
import threading
from pathlib import Path

import pytest

from e2e import progress
from e2e.cluster import cgroups, disk, images, leftovers, mounts
from e2e.cluster.__main__ import main
from e2e.cluster.errors import ClusterError
from e2e.cluster.paths import ClusterPaths


def test_version_1_has_a_folder_in_each_real_hierarchy(tmp_path: Path) -> None:
    for name in ("cpu", "memory", "unified"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cgroup.procs").touch()
    (tmp_path / "cpuacct").symlink_to("cpu")
    (tmp_path / "no-hierarchy").mkdir()
    assert cgroups.folders("x", tmp_path) == [tmp_path / one / "modelcycle-x" for one in ("cpu", "memory", "unified")]


def test_version_2_has_one(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").touch()
    assert cgroups.folders("x", tmp_path) == [tmp_path / "modelcycle-x"]


def test_mounts_below_a_folder_are_found_by_their_whole_name(tmp_path: Path) -> None:
    table = tmp_path / "mounts"
    lines = ["/", "/state/x", "/state/x/netns", "/state/x-y/netns", r"/state/x/with\040space", "/state/x/netns"]
    table.write_text("".join(f"nsfs {target} nsfs rw 0 0\n" for target in lines))
    assert mounts.below(Path("/state/x"), table) == ["/state/x/netns", "/state/x/with space", "/state/x/netns"]


def test_a_loop_device_belongs_to_the_cluster_that_has_its_file(tmp_path: Path) -> None:
    for name, file in (("loop0", "/state/x/disk.img"), ("loop1", "/state/x-y/disk.img")):
        (tmp_path / name / "loop").mkdir(parents=True)
        (tmp_path / name / "loop" / "backing_file").write_text(f"{file}\n")
    assert disk.loop_devices(Path("/state/x"), tmp_path) == ["loop0"]


def test_a_machine_without_loop_devices_gets_plain_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "SYSTEM_PATH", str(tmp_path))
    paths = ClusterPaths(tmp_path / "cluster")
    assert disk.make(paths) == ""
    assert (paths.disk / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert [file.name for file in paths.root.iterdir()] == ["disk"]


def test_a_cluster_that_never_was_left_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert leftovers("never-was") == []
    (tmp_path / "modelcycle" / "never-was").mkdir(parents=True)
    assert leftovers("never-was") == [f"folder {tmp_path}/modelcycle/never-was"]


def test_an_archive_holds_the_program_and_its_name(tmp_path: Path) -> None:
    (tmp_path / "tool").write_bytes(b"#!")
    with tarfile.open(fileobj=io.BytesIO(images.archive_of(tmp_path / "tool", "localhost/x:1"))) as archive:
        files = {name: archive.extractfile(name) for name in archive.getnames()}
        content = {name: file.read() for name, file in files.items() if file}
    assert json.loads(content["manifest.json"])[0]["RepoTags"] == ["localhost/x:1"]
    assert json.loads(content["config.json"])["config"]["Entrypoint"] == ["/tool"]
    with tarfile.open(fileobj=io.BytesIO(content["layer.tar"])) as layer:
        assert layer.getnames() == ["tool"]


def test_an_error_quotes_the_end_of_its_log_and_says_what_to_do(tmp_path: Path) -> None:
    log = tmp_path / "etcd.log"
    log.write_text("".join(f"line {number}\n" for number in range(100)))
    text = str(ClusterError("etcd ended", log=log, do="free some space"))
    assert text.startswith(f"etcd ended\n  log: {log}\n")
    assert "| line 99" in text
    assert "| line 10\n" not in text
    assert text.endswith("what to do: free some space")
    assert "(empty)" in str(ClusterError("x", log=tmp_path / "none"))


def test_a_step_says_that_it_goes_on_and_how_long_it_took(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "HEARTBEAT_SECONDS", 0.01)
    asked = threading.Event()

    def detail() -> str:
        asked.set()
        return "7 of 9"

    with progress.step("building x", detail=detail):
        assert asked.wait(30)
    said = capsys.readouterr().err  # the step's thread has ended: nothing is said any more
    assert re.search(r"building x: still at it after \d+s \(7 of 9\)\n", said)
    assert re.search(r"building x: done in \d+\.\ds\n", said)


def test_a_step_that_fails_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="no"), progress.step("building x"):
        raise ValueError("no")
    assert "building x: FAILED after " in capsys.readouterr().err


def test_errors_reach_the_user_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert main(["kubeconfig", "--name", "never-was", "--provider", "local"]) == 1
    assert "error: no cluster never-was is running here" in capsys.readouterr().err
    assert main(["status", "--name", "never-was", "--provider", "local"]) == 3
    assert "not running" in capsys.readouterr().out
