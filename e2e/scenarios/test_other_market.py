"""Another market and a training script of plain torch and MLflow: the same resources, the same operator."""

from __future__ import annotations

from e2e.demo.kube import condition
from e2e.scenarios.market import OtherMarket
from e2e.scenarios.system import System, eventually, tags


def test_a_script_without_our_library_is_registered_and_serves(other_market: OtherMarket) -> None:
    assert condition(other_market.training, "Succeeded")["reason"] == "Registered"
    files = [file["path"] for file in other_market.training["status"]["registered"]["files"]]
    assert "model/model.onnx" in files
    assert [path for path in files if path.startswith("modelcycle/")] == []
    assert other_market.deployment["status"]["stable"]["version"] == "1"
    answered = other_market.client.ask([1.0, 1.0, 1.0], [4.0, 4.0, 4.0])
    calm, wild = answered["predictions"]
    assert 0 < calm < wild


def test_its_version_has_the_lineage_that_can_be_known_without_the_library(
    system: System, other_market: OtherMarket
) -> None:
    with system.mlflow() as mlflow:
        (version,) = mlflow.versions(f"{other_market.kube.namespace}.volatility")
    found = tags(version)
    for name in ("key", "uid", "training", "image-digest", "code-digest", "parameters-digest", "files", "digest"):
        assert found[f"modelcycle.dev/{name}"]


def test_its_script_is_kept_as_it_ran(other_market: OtherMarket) -> None:
    kube, metadata = other_market.kube, other_market.training["metadata"]
    copy = kube.get("configmap", f"{metadata['name']}-{metadata['uid'][:5]}-files") or {}
    original = kube.get("configmap", other_market.training["spec"]["configMap"]) or {}
    assert copy["immutable"]
    assert copy["data"] == original["data"]
    assert other_market.training["status"]["code"]["files"]


def test_its_policy_says_what_it_waits_for_and_fires_nothing(other_market: OtherMarket) -> None:
    def trigger() -> tuple[str, str] | None:
        found = other_market.policy.get("status", {}).get("triggers")
        return (found[0]["name"], found[0]["state"]) if found else None

    assert eventually("the trigger judged", trigger, 600) == ("loss", "Unknown")
    assert "cycle" not in other_market.policy["status"]
    assert condition(other_market.policy, "Stalled")["status"] != "True"
