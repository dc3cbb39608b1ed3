from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from e2e.images.buildah import Buildah
from e2e.images.builder import BuildRequest, RunRequest
from e2e.images.errors import ImagesError
from tests.unit.e2e_images.programs import Programs

REFERENCE = "localhost/modelcycle/sample:2"
SETPRIV = """\
while [ "$1" != buildah ]; do shift; done
shift
exec buildah "$@"
"""
# Answers the questions, of which images and containers there are, that a build asks.
STORE = """\
while :; do case $1 in --*) shift;; *) break;; esac; done
case "$1 $2" in
  "images --json") cat <<'JSON'
[{"names": ["localhost/modelcycle/sample:1", "localhost/modelcycle/sample:2"]},
 {"names": ["localhost/modelcycle/sample-gpu:1"]}, {"names": null}]
JSON
  ;;
  "containers --json") cat <<'JSON'
[{"id": "left", "containername": "sample-working-container"},
 {"id": "dead", "containername": "modelcycle-run-0"},
 {"id": "live", "containername": "modelcycle-run-PID"}]
JSON
  ;;
  "from "*) echo container;;
  "pull "*) echo 0123abcd;;
  "run "*) exit 7;;
  "inspect "*) printf '{"OCIv1": {"rootfs": {"diff_ids": ["sha256:old", "sha256:new"]}}}';;
  "push "*) for target in "$@"; do :; done
    case $target in
      dir:*) cd "${target#dir:}"; touch old config version; printf '%s' "$MANIFEST" > manifest.json;;
      oci:*) cd "$LAYOUT"; touch blobs/sha256/new;;
    esac;;
esac
"""


@pytest.fixture
def buildah(programs: Programs, tmp_path: Path) -> Buildah:
    programs.add("setpriv", SETPRIV)
    programs.add("buildah", STORE.replace("PID", str(os.getpid())))
    return Buildah(tmp_path / "storage")


def words(programs: Programs) -> list[str]:
    """Give the calls of buildah without the options that all have."""
    calls = [call for call in programs.calls() if call.startswith("buildah ")]
    return [call.partition("--storage-opt=overlay.skip_mount_home=true ")[2] for call in calls]


def test_every_call_has_namespaces_and_a_store_of_its_own(buildah: Buildah, programs: Programs) -> None:
    assert buildah.has(REFERENCE)
    assert programs.calls()[0] == (
        "setpriv --pdeathsig=KILL unshare --mount --propagation=private --pid --fork --kill-child --mount-proc "
        f"buildah --root={buildah.storage}/store --runroot={buildah.storage}/run "
        f"--storage-driver=overlay --storage-opt=overlay.skip_mount_home=true inspect --type=image {REFERENCE}"
    )


def test_a_build_keeps_slow_stages_and_forgets_the_image_it_replaces(
    buildah: Buildah, programs: Programs, tmp_path: Path, log: Path
) -> None:
    secrets = {"pip.conf": Path("/s/pip.conf")}
    buildah.build(
        BuildRequest("sample", tmp_path, tmp_path / "D", "base:1", REFERENCE, secrets, log, ("requirements",))
    )
    common = f"--build-arg=BASE_IMAGE=base:1 --file={tmp_path}/D --secret=id=pip.conf,src=/s/pip.conf"
    stage = "localhost/modelcycle-stage/sample-requirements:kept"
    options = "build --layers --isolation=chroot --network=host --pull-never"
    assert words(programs) == [
        "containers --json",
        "rm left",
        "rm dead",
        f"{options} --tag={stage} {common} --target requirements {tmp_path}",
        f"{options} --tag={REFERENCE} {common} {tmp_path}",
        "images --json",
        "rmi localhost/modelcycle/sample:1",
        "rmi --prune",
    ]


def test_a_root_file_system_becomes_an_image_and_its_container_goes(
    buildah: Buildah, programs: Programs, log: Path
) -> None:
    buildah.import_root(Path("/bases/python.tar"), "localhost/base:1", log)
    calls = words(programs)
    assert calls[0] == "from scratch"
    assert calls[-2:] == ["commit --quiet container localhost/base:1", "rm container"]


def test_an_export_reads_slow_layers_once(
    buildah: Buildah, programs: Programs, tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = buildah.storage / "layers" / "sample"
    manifest = {"mediaType": "m", "config": {"digest": "sha256:config"}, "layers": [{"digest": "sha256:old"}]}
    monkeypatch.setenv("MANIFEST", json.dumps(manifest))
    monkeypatch.setenv("LAYOUT", str(layout))
    buildah.storage.mkdir()
    for archive in (tmp_path / "first.tar", tmp_path / "second.tar"):
        buildah.export(REFERENCE, archive, log)
        assert archive.stat().st_size > 0
    first, second = (call for call in words(programs) if call.startswith("push"))
    assert first.startswith(f"push --quiet --disable-compression {REFERENCE} dir:")
    assert second == f"push --quiet {REFERENCE} oci:{layout}:{REFERENCE}"
    assert sorted(path.name for path in buildah.storage.iterdir()) == ["layers"]


def test_an_image_comes_back_from_its_archive_under_its_name(buildah: Buildah, programs: Programs, log: Path) -> None:
    buildah.load(Path("/images/sample.tar"), REFERENCE, log)
    assert words(programs) == [f"pull --quiet oci-archive:/images/sample.tar:{REFERENCE}", f"tag 0123abcd {REFERENCE}"]


def test_public_images_are_asked_for_without_guessing_a_registry(
    buildah: Buildah, programs: Programs, log: Path
) -> None:
    assert buildah.reaches("python:3.13-slim")
    buildah.pull("python:3.13-slim", "localhost/base:1", log)
    assert words(programs) == [
        "pull --quiet docker://python:3.13-slim",
        "pull --quiet docker://python:3.13-slim",
        "tag 0123abcd localhost/base:1",
    ]


def test_a_run_gives_the_status_and_leaves_no_container(buildah: Buildah, programs: Programs) -> None:
    request = RunRequest(REFERENCE, ("python", "-V"), ((Path("/repo"), "/repository:ro"),), {"A": "1"})
    assert buildah.run(request) == 7
    name = f"modelcycle-run-{os.getpid()}"
    assert words(programs) == [
        f"from --pull-never --name={name} {REFERENCE}",
        f"run --isolation=chroot --network=host --volume=/repo:/repository:ro --env=A=1 {name} -- python -V",
        f"rm {name}",
    ]


def test_a_machine_without_buildah_is_told_what_to_install(programs: Programs, tmp_path: Path) -> None:
    assert programs.calls() == []
    with pytest.raises(ImagesError, match=r"buildah is not installed.*apt-get install"):
        Buildah(tmp_path).check()


def test_buildah_is_used_as_root(buildah: Buildah, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ImagesError, match="as root"):
        buildah.check()
