"""The samples are what a reader copies: valid, honest about time, and short."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from e2e.demo.manifests import replay_manifests
from e2e.demo.market import ROOT, SAMPLE, load_market, load_script
from e2e.demo.settings import Settings
from modelcycle.api.v1alpha1.common import ApiModel
from modelcycle.api.v1alpha1.deployment import DeploymentSpec
from modelcycle.api.v1alpha1.retrain import RetrainSpec
from modelcycle.api.v1alpha1.training import TrainingSpec

SAMPLES = [SAMPLE, SAMPLE.parent / "plain"]
SPECS: dict[str, tuple[type[ApiModel], str]] = {
    "ModelTraining": (TrainingSpec, "modeltrainings"),
    "ModelDeployment": (DeploymentSpec, "modeldeployments"),
    "RetrainPolicy": (RetrainSpec, "retrainpolicies"),
}
each_sample = pytest.mark.parametrize("folder", SAMPLES, ids=lambda folder: str(folder.name))


def documents(folder: Path) -> list[dict[str, Any]]:
    names = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    return [document for name in names for document in yaml.safe_load_all((folder / name).read_text())]


def unknown_fields(value: Any, schema: dict[str, Any], path: str) -> list[str]:
    if isinstance(value, list):
        return [f for i, one in enumerate(value) for f in unknown_fields(one, schema["items"], f"{path}[{i}]")]
    if not isinstance(value, dict):
        return []
    known = schema.get("properties", {})
    found = [f"{path}.{name}" for name in value if name not in known]
    return found + [
        field
        for name, one in value.items()
        if name in known
        for field in unknown_fields(one, known[name], f"{path}.{name}")
    ]


@each_sample
def test_our_resources_fit_the_schema(folder: Path) -> None:
    ours = [document for document in documents(folder) if document["kind"] in SPECS]
    assert {document["kind"] for document in ours} == set(SPECS)
    for document in ours:
        model, plural = SPECS[document["kind"]]
        model.model_validate(document["spec"])
        crd = yaml.safe_load((ROOT / "crds" / f"modelcycle.dev_{plural}.yaml").read_text())
        schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        assert unknown_fields(document["spec"], schema, "spec") == []


@each_sample
def test_first_training_and_policy_train_alike(folder: Path) -> None:
    by_kind = {document["kind"]: document["spec"] for document in documents(folder) if "spec" in document}
    template = by_kind["RetrainPolicy"]["template"]
    assert template == {name: by_kind["ModelTraining"][name] for name in template}


@each_sample
def test_every_name_that_is_used_is_there(folder: Path) -> None:
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    (generated,) = kustomization["configMapGenerator"]
    assert all((folder / name).is_file() for name in generated["files"])
    found = documents(folder)
    namespaces = {d["metadata"].get("namespace", d["metadata"]["name"]) for d in found}
    assert namespaces == {generated["namespace"]}
    (training,) = [d["spec"] for d in found if d["kind"] == "ModelTraining"]
    assert training["configMap"] == generated["name"]
    assert training["register"]["model"].startswith(f"{generated['namespace']}.")
    claims = {d["metadata"]["name"] for d in found if d["kind"] == "PersistentVolumeClaim"}
    assert {source["persistentVolumeClaim"]["claimName"] for source in training["data"]} == claims


@each_sample
def test_images_are_of_this_version(folder: Path) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    images = {found for path in folder.glob("*.yaml") for found in re.findall(r"image: (\S+)", path.read_text())}
    assert images == {f"localhost/modelcycle/{name}:{version}" for name in ("training", "marketdata")}


@each_sample
def test_the_training_script_is_short(folder: Path) -> None:
    assert len((folder / "train.py").read_text().splitlines()) < 150


def test_the_plain_sample_imports_nothing_of_ours() -> None:
    assert not re.search(r"^(from|import) modelcycle", (SAMPLE.parent / "plain" / "train.py").read_text(), re.MULTILINE)


def prices(script: Any, folder: Path) -> pd.DataFrame:
    if folder.name == "hedge":
        found: pd.DataFrame = script.closing_prices()
        return found
    loaded: pd.DataFrame = script.nasdaq.load()
    return loaded


@each_sample
def test_features_of_a_row_are_known_at_its_time_and_the_label_when_it_says(folder: Path) -> None:
    """Days that are forged change no feature before them, and no row that was known before them."""
    script = load_script(folder / "prepare.py")
    real = prices(script, folder)
    forged = real.astype(float)
    forged.iloc[3000:] *= np.random.default_rng(0).uniform(1, 2, size=forged.iloc[3000:].shape)
    tables = [script.make_table(one) for one in (real, forged)]
    cut = real.index[3000].strftime("%Y-%m-%d")
    labels = [tables[0].columns[-1]]
    for column in tables[0].columns.difference(labels):
        earlier = [table[table["time"] < cut][column] for table in tables]
        pd.testing.assert_series_equal(earlier[0], earlier[1])
    known = [table[table["known"] < cut] for table in tables]
    pd.testing.assert_frame_equal(known[0], known[1])
    assert len(known[0]) > 2900
    assert not tables[0].equals(tables[1])


def test_the_hedges_table_is_whole_and_in_order() -> None:
    table = load_market()
    assert table.feature_names == ("sp500", "nasdaq", "sp500_before", "nasdaq_before")
    assert (np.diff(table.time) > 0).all()
    assert (table.known > table.time).all()
    assert (table.known[:-1] == table.time[1:]).all()
    assert np.isfinite(table.features).all()
    assert np.isfinite(table.label).all()
    assert np.mean(table.label**2) == pytest.approx(1.1, abs=0.1), "in units of its volatility"


def test_the_replay_runs_as_a_restricted_pod_that_may_read_two_statuses_only() -> None:
    found = {d["kind"]: d for d in replay_manifests(Settings(), "image", "http://hedge", "2007-01-03", "2012-12-31")}
    assert found["Role"]["rules"] == [
        {"apiGroups": ["modelcycle.dev"], "resources": ["retrainpolicies", "modeldeployments"], "verbs": ["get"]}
    ]
    pod = found["Job"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {"__main__.py", "days.py", "pace.py", "replay.py", "service.py"} <= set(found["ConfigMap"]["data"])
    assert all(d["metadata"]["namespace"] == "energy-desk" for d in found.values())
