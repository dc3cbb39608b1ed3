from __future__ import annotations

from pathlib import Path

import pytest

from e2e.images.builder import BuildRequest, RunRequest
from e2e.images.engine import Engine, answering_engine
from e2e.images.errors import CommandFailed
from tests.unit.e2e_images.programs import Programs

REFERENCE = "localhost/modelcycle/sample:1"


def test_a_client_without_a_daemon_is_no_engine(programs: Programs) -> None:
    programs.add("docker", "exit 1")
    assert answering_engine() is None
    programs.add("podman")
    assert answering_engine() == "podman"
    programs.add("docker")
    assert answering_engine() == "docker"


def test_a_build_lends_secrets_and_names_base_and_image(programs: Programs, tmp_path: Path, log: Path) -> None:
    programs.add("docker")
    request = BuildRequest(
        "sample",
        tmp_path,
        tmp_path / "Dockerfile",
        "base:1",
        REFERENCE,
        {"pip.conf": Path("/s/pip.conf")},
        log,
        ("first",),
    )
    Engine("docker").build(request)
    assert programs.calls() == [
        f"docker build --network=host --tag={REFERENCE} --file={tmp_path}/Dockerfile --build-arg=BASE_IMAGE=base:1 "
        f"--secret=id=pip.conf,src=/s/pip.conf {tmp_path}"
    ]


def test_the_engine_writes_the_archive(programs: Programs, tmp_path: Path, log: Path) -> None:
    programs.add("podman", 'touch "${2#--output=}"')
    archive = tmp_path / "images" / "sample.tar"
    Engine("podman").export(REFERENCE, archive, log)
    assert list(archive.parent.iterdir()) == [archive]


def test_a_failed_save_leaves_no_archive(programs: Programs, tmp_path: Path, log: Path) -> None:
    programs.add("docker", "exit 1")
    with pytest.raises(CommandFailed):
        Engine("docker").export(REFERENCE, tmp_path / "sample.tar", log)
    assert not (tmp_path / "sample.tar").exists()


def test_bases_are_pulled_or_imported_under_our_name(programs: Programs, log: Path) -> None:
    programs.add("podman")
    engine = Engine("podman")
    engine.pull("python:3.13-slim", "localhost/base:1", log)
    engine.import_root(Path("/bases/python.tar"), "localhost/base:2", log)
    assert programs.calls() == [
        "podman pull python:3.13-slim",
        "podman tag python:3.13-slim localhost/base:1",
        "podman import /bases/python.tar localhost/base:2",
    ]


def test_what_is_there_and_what_can_be_had_is_asked_of_the_engine(programs: Programs) -> None:
    programs.add("docker", '[ "$1 $2" = "image inspect" ]')
    assert Engine("docker").has(REFERENCE)
    assert not Engine("docker").reaches("python:3.13-slim")


def test_an_image_comes_back_from_its_archive_and_goes_to_a_registry(programs: Programs, log: Path) -> None:
    programs.add("docker")
    engine = Engine("docker")
    engine.load(Path("/images/sample.tar"), REFERENCE, log)
    engine.push("registry.test/team/sample:1", log)
    assert programs.calls() == ["docker load --input=/images/sample.tar", "docker push registry.test/team/sample:1"]


def test_a_run_is_the_command_with_its_mounts_and_its_status(programs: Programs) -> None:
    programs.add("docker", "exit 7")
    mounts = ((Path("/repo"), "/repository:ro"),)
    code = Engine("docker").run(RunRequest(REFERENCE, ("python", "-V"), mounts, {"A": "1"}))
    assert code == 7
    assert programs.calls() == [
        f"docker run --rm --network=host --volume=/repo:/repository:ro --env=A=1 --entrypoint python {REFERENCE} -V"
    ]
