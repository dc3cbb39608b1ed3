"""Which provider a machine gets, and what the thin ones do."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from e2e.cluster import node_settings
from e2e.cluster.errors import ClusterError
from e2e.cluster.options import Options
from e2e.cluster.paths import cluster_paths
from e2e.cluster.providers import kind
from e2e.cluster.providers.choice import KUBECONFIG_VARIABLE, choose
from e2e.cluster.providers.existing import Existing
from e2e.cluster.providers.kind import Kind

FILE = Path("/somewhere/kubeconfig")


@pytest.fixture(autouse=True)
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cluster, no engine, and a user's context that must not be touched."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", "/home/user/.kube/config")
    monkeypatch.delenv(KUBECONFIG_VARIABLE, raising=False)
    monkeypatch.setattr(kind, "engine", lambda: "")


@pytest.mark.parametrize(
    ("wanted", "options", "variable", "engine", "chosen"),
    [
        ("auto", Options(), "", "", "local"),
        ("auto", Options(), "", "docker", "kind"),
        ("auto", Options(), str(FILE), "docker", "existing"),
        ("auto", Options(kubeconfig=FILE), "", "docker", "existing"),
        ("auto", Options(control_plane_only=True), str(FILE), "docker", "local"),
        ("local", Options(), str(FILE), "docker", "local"),
        ("kind", Options(), str(FILE), "", "kind"),
        ("existing", Options(kubeconfig=FILE), "", "", "existing"),
    ],
)
def test_the_first_that_fits(
    wanted: str, options: Options, variable: str, engine: str, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kind, "engine", lambda: engine)
    if variable:
        monkeypatch.setenv(KUBECONFIG_VARIABLE, variable)
    assert choose(wanted, options).name == chosen


def test_a_cluster_stays_with_the_provider_that_made_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kind, "engine", lambda: "docker")
    cluster_paths("mine").root.mkdir(parents=True)
    assert choose("auto", Options("mine")).name == "local"
    Kind("mine").file.touch()
    monkeypatch.setattr(kind, "engine", lambda: "")
    assert choose("auto", Options("mine")).name == "kind"


@pytest.mark.parametrize(
    ("wanted", "options"),
    [
        ("existing", Options()),
        ("kind", Options(kubeconfig=FILE)),
        ("auto", Options(kubeconfig=FILE, control_plane_only=True)),
    ],
)
def test_contradictions_are_refused(wanted: str, options: Options) -> None:
    with pytest.raises(ClusterError):
        choose(wanted, options)


def test_an_existing_cluster_is_never_changed(capsys: pytest.CaptureFixture[str]) -> None:
    cluster = Existing(FILE)
    cluster.down()
    assert "left as it is" in capsys.readouterr().err
    with pytest.raises(ClusterError, match="push images to a registry"):
        cluster.load_image(Path("image.tar"))
    with pytest.raises(ClusterError, match="no kubeconfig at"):
        cluster.kubeconfig()


class FakeKind:
    """Records the commands, and answers `get clusters`."""

    def __init__(self, *clusters: str) -> None:
        self.clusters = clusters
        self.commands: list[str] = []

    def __call__(self, command: Sequence[str]) -> str:
        words = list(command)
        self.commands.append(" ".join(words[words.index("kind") + 1 :]))
        return "\n".join(self.clusters)


@pytest.fixture
def applied(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The nodes that got labels and GPUs."""
    nodes: list[str] = []
    monkeypatch.setattr(shutil, "which", lambda program: program)
    monkeypatch.setattr(node_settings, "apply", lambda file, program, node, options: nodes.append(node))
    return nodes


def test_kind_creates_a_cluster_with_a_kubeconfig_of_its_own(applied: list[str]) -> None:
    fake = FakeKind("another")
    cluster = Kind("mine", run=fake)
    cluster.up(Options("mine"))
    assert fake.commands == [
        "get clusters",
        f"create cluster --name mine --kubeconfig {cluster.file} --wait 180s",
    ]
    assert applied == ["mine-control-plane"]


def test_kind_takes_up_a_cluster_that_runs(applied: list[str]) -> None:
    fake = FakeKind("mine")
    cluster = Kind("mine", run=fake)
    cluster.up(Options("mine"))
    assert fake.commands[1] == f"export kubeconfig --name mine --kubeconfig {cluster.file}"
    assert cluster.status().running


def test_kind_loads_and_deletes(applied: list[str]) -> None:
    fake = FakeKind("mine")
    cluster = Kind("mine", run=fake)
    cluster.load_image(Path("/image.tar"))
    cluster.down()
    assert fake.commands == [
        "load image-archive /image.tar --name mine",
        f"delete cluster --name mine --kubeconfig {cluster.file}",
    ]
    assert not cluster.file.parent.exists()
