"""The alerts as Prometheus itself evaluates them, by promtool."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from helm.render import CHART
from modelcycle.deployment import gauge
from tests.support.prometheus_server import prometheus_binary

ALERTS = CHART / "files" / "alerts.yaml"
OPERATOR = 'job="modelcycle-operator", namespace="modelcycle-system"'
RANKER = 'resource_namespace="shop", deployment="ranker"'
DOWN = "ModelcycleServingDown"
WHO = {"namespace": "shop", "deployment": "ranker"}


@pytest.fixture(scope="module")
def promtool() -> Path:
    prometheus = prometheus_binary()
    binary = prometheus.with_name("promtool") if prometheus else None
    if binary is None or not binary.exists():
        pytest.skip("no promtool: install Debian's package prometheus, or run where apt-get can download it")
    return binary


def ready(pod: str, values: str, of: str = RANKER) -> tuple[str, str]:
    """Ready replicas as one replica of the operator tells them."""
    return f'{gauge.NAME}{{{OPERATOR}, pod="{pod}", {of}}}', values


def up(pod: str, values: str) -> tuple[str, str]:
    return f'up{{job="modelcycle-serving", namespace="shop", deployment="ranker", pod="{pod}"}}', values


@pytest.mark.parametrize(
    ("series", "at", "fires"),
    [
        pytest.param([ready("a", "2x20")], "10m", [], id="all is well"),
        pytest.param([ready("a", "2 0x20")], "2m", [], id="a moment without pods"),
        pytest.param([ready("a", "2 0x20")], "5m", [WHO], id="no pod at all: nothing of it can be read"),
        pytest.param([ready("a", "2 0x20"), up("p", "1 1 _x18")], "9m", [WHO], id="the last pod's series ended"),
        pytest.param([ready("a", "2 0x3 1x20")], "8m", [], id="one pod is back"),
        pytest.param([ready("a", "0x20"), ready("b", "2x20")], "5m", [], id="a replica whose cache is not filled yet"),
        pytest.param([ready("a", "0x20"), ready("b", "0x20")], "5m", [WHO], id="both replicas: one alert"),
        pytest.param([ready("a", "0x20"), up("p", "0x20")], "5m", [WHO], id="both ways to see it: one alert"),
        pytest.param([ready("a", "2x20"), up("p", "0x20"), up("q", "0x20")], "5m", [WHO], id="ready, but none answers"),
        pytest.param([ready("a", "2x20"), up("p", "0x20"), up("q", "1x20")], "5m", [], id="one of two answers"),
        pytest.param(
            [ready("a", "0x20"), ready("a", "2x20", 'resource_namespace="bank", deployment="ranker"')],
            "5m",
            [WHO],
            id="a namesake in another namespace is well",
        ),
        pytest.param([ready("a", "0 0 0 _x17")], "9m", [], id="the deployment was deleted"),
    ],
)
def test_serving_down(
    series: list[tuple[str, str]], at: str, fires: list[dict[str, str]], promtool: Path, tmp_path: Path
) -> None:
    expected = [
        {
            "exp_labels": labels | {"severity": "critical"},
            "exp_annotations": {
                "summary": f"No pod of ModelDeployment {labels['namespace']}/{labels['deployment']} is ready, "
                "or none answers.",
                "runbook": "docs/runbooks/serving-down.md",
            },
        }
        for labels in fires
    ]
    check(
        promtool,
        tmp_path,
        {
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series],
            "alert_rule_test": [{"eval_time": at, "alertname": DOWN, "exp_alerts": expected}],
        },
    )


def check(promtool: Path, folder: Path, test: dict[str, Any]) -> None:
    file = folder / "test.yaml"
    file.write_text(json.dumps({"rule_files": [str(ALERTS)], "evaluation_interval": "30s", "tests": [test]}))
    answer = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
