"""The whole way from a name to an archive, with an engine that is a stand-in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from e2e import core
from e2e.images import ImagesError, build
from e2e.images.__main__ import main
from e2e.images.bases import CHOICE_VARIABLE, LOCAL, PUBLIC, base_of
from e2e.images.cache import Cache
from e2e.images.catalogue import RECIPES, ROOT, recipe
from e2e.images.image import describe
from tests.unit.e2e_images.programs import Programs

# A store that has nothing, a registry that has everything, and archives of one byte.
DOCKER = """\
case "$1 $2" in
  "image inspect") exit 1;;
  "save "*) printf x > "${2#--output=}";;
esac
"""
NO_REGISTRY = 'case "$1 $2" in "image inspect"|"manifest inspect") exit 1;; esac\n'


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    # Set and taken back, so that what the code remembers there for its children goes after the test.
    monkeypatch.setenv(CHOICE_VARIABLE, "")
    # Built before these tests, by programs that they take away.
    monkeypatch.setattr(core, "build", lambda: core.LIBRARY)
    return tmp_path / "cache" / "modelcycle"


@pytest.fixture
def docker(programs: Programs) -> Programs:
    programs.add("docker", DOCKER)
    return programs


def calls(programs: Programs, verb: str) -> list[str]:
    return [call for call in programs.calls() if call.startswith(f"docker {verb}")]


def test_an_image_is_built_once(docker: Programs, cache: Path) -> None:
    (first,) = build(["mlflow"])
    assert first.reference == f"localhost/modelcycle/mlflow:{first.key}"
    assert first.archive == cache / "images" / f"mlflow-{first.key}.tar"
    assert first.archive.read_bytes() == b"x"
    assert build(["mlflow"]) == (first,)
    assert len(calls(docker, "build")) == 1


def test_what_is_built_waits_for_no_other_build(docker: Programs, cache: Path) -> None:
    built = build(["mlflow"])
    with Cache(cache).lock():
        assert build(["mlflow"]) == built
    assert len(calls(docker, "build")) == 1


def test_the_registry_is_asked_once_and_the_answer_goes_to_children(docker: Programs) -> None:
    describe()
    describe()
    assert len(calls(docker, "manifest inspect")) == 1
    assert os.environ[CHOICE_VARIABLE] == PUBLIC


def test_without_a_registry_the_bases_are_local(programs: Programs) -> None:
    programs.add("docker", NO_REGISTRY)
    describe()
    assert os.environ[CHOICE_VARIABLE] == LOCAL


def test_an_unknown_kind_of_base_is_refused(docker: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    assert docker.calls() == []
    monkeypatch.setenv(CHOICE_VARIABLE, "scratch")
    with pytest.raises(ImagesError, match="MODELCYCLE_BASE is 'scratch'"):
        describe()


def test_an_unknown_image_is_refused_before_anything_is_asked(docker: Programs) -> None:
    with pytest.raises(ImagesError, match=r"no image called 'mlfow': there are operator, serving"):
        build(["mlfow"])
    assert docker.calls() == []


def test_every_base_has_a_name_of_its_own() -> None:
    bases = {base_of(image, kind, ROOT) for image in RECIPES for kind in (PUBLIC, LOCAL)}
    assert len({base.reference for base in bases}) == len({base.key for base in bases}) == len(bases) == 6


def test_another_repository_gets_the_image_with_the_same_key(docker: Programs) -> None:
    (image,) = build(["mlflow"], repository="registry.test/team", push=True)
    assert image.reference == f"registry.test/team/mlflow:{image.key}"
    assert calls(docker, "push") == [f"docker push {image.reference}"]
    assert calls(docker, "tag")[-1] == f"docker tag localhost/modelcycle/mlflow:{image.key} {image.reference}"


def test_a_failed_build_leaves_nothing_that_looks_built(programs: Programs, cache: Path) -> None:
    programs.add("docker", f"{DOCKER}[ $1 != build ]\n")
    with pytest.raises(ImagesError, match=r"(?s)docker ended with status 1.*image-mlflow\.log"):
        build(["mlflow"])
    assert not list((cache / "images").glob("*.tar"))


def test_the_command_line_builds_and_prints_references(docker: Programs, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "mlflow", "prometheus"]) == 0
    printed = capsys.readouterr().out.split()
    assert [line.partition(":")[0] for line in printed] == [
        "localhost/modelcycle/mlflow",
        "localhost/modelcycle/prometheus",
    ]
    assert main(["path", "mlflow"]) == 0
    assert Path(capsys.readouterr().out.strip()).is_file()


def test_the_list_says_what_is_built(docker: Programs, capsys: pytest.CaptureFixture[str]) -> None:
    assert docker.calls() == []
    build(["prometheus"])
    assert main(["list"]) == 0
    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert set(rows) == {image.name for image in RECIPES}
    assert rows["mlflow"].startswith("not built")
    assert rows["prometheus"].startswith("0 MiB")


def test_a_path_is_given_for_a_built_image_only(docker: Programs, capsys: pytest.CaptureFixture[str]) -> None:
    assert docker.calls() == []
    assert main(["path", "mlflow"]) == 1
    assert "not built yet: python -m e2e.images build mlflow" in capsys.readouterr().err


def test_a_command_runs_in_the_image_with_mounts_and_variables(docker: Programs, tmp_path: Path) -> None:
    options = ["--repo", "--mount", f"{tmp_path}:/out", "--env", "A=b=c"]
    assert main(["run", *options, "mlflow", "--", "python", "-c", "pass"]) == 0
    (call,) = calls(docker, "run")
    assert f"--volume={tmp_path}:/out --volume={ROOT}:/repository:ro --env=A=b=c --entrypoint python" in call


@pytest.mark.parametrize(
    ("option", "value", "advice"),
    [
        pytest.param("--mount", "/tmp", "HOST_PATH:/path/in/the/image", id="a mount without a place"),
        pytest.param("--mount", "/tmp:out", "HOST_PATH:/path/in/the/image", id="a mount at a relative place"),
        pytest.param("--env", "NAME", "NAME=VALUE", id="a variable without a value"),
    ],
)
def test_options_of_run_are_checked(option: str, value: str, advice: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", option, value, "mlflow", "--", "true"]) == 1
    assert advice in capsys.readouterr().err


def test_a_dockerfile_without_a_base_argument_is_refused(tmp_path: Path) -> None:
    dockerfile = tmp_path / recipe("mlflow").dockerfile
    dockerfile.parent.mkdir(parents=True)
    dockerfile.write_text("FROM python:3.13-slim\n", encoding="utf-8")
    with pytest.raises(ImagesError, match="has to begin with the line ARG BASE_IMAGE"):
        recipe("mlflow").public_base(tmp_path)
