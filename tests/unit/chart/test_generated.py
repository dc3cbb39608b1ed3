"""What is generated from the chart, and what the chart is generated from, is current."""

from __future__ import annotations

import json

import yaml

from helm import render
from modelcycle.api.schema import crd
from tests.unit.chart.chart import Chart

ALERTS = render.CHART / "files" / "alerts.yaml"


def test_the_generated_files_are_what_the_chart_gives() -> None:
    for path, text in render.generated().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is not current: run `make manifests`"


def test_the_charts_crds_are_those_of_the_models() -> None:
    folder = render.CHART / "files" / "crds"
    assert {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir()} == crd.render(), "run `make crds`"


def test_the_crds_reach_the_cluster_unchanged(default: Chart) -> None:
    for text in crd.render().values():
        wanted = yaml.safe_load(text)
        assert default.get("CustomResourceDefinition", wanted["metadata"]["name"])["spec"] == wanted["spec"]


def test_the_charts_version_is_that_of_the_project() -> None:
    chart = yaml.safe_load((render.CHART / "Chart.yaml").read_text(encoding="utf-8"))
    project = (render.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert chart["version"] == chart["appVersion"]
    assert f'\nversion = "{chart["version"]}"' in project


def test_every_value_is_described_in_the_schema() -> None:
    schema = json.loads((render.CHART / "values.schema.json").read_text(encoding="utf-8"))
    values = yaml.safe_load((render.CHART / "values.yaml").read_text(encoding="utf-8"))
    described = {path.split(".")[0] for path, _, _ in render.described(schema, values)}
    assert described == set(values)
    assert all(text.endswith(".") for _, _, text in render.described(schema, values))


def test_every_alert_has_a_runbook_of_its_own() -> None:
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len({rule["annotations"]["runbook"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["annotations"]["runbook"].startswith("docs/runbooks/")
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in ("warning", "critical")
