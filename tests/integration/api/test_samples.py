"""What a reader copies works: every resource of ours in manifests/samples is accepted by the API server."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from modelcycle.api.v1alpha1.common import API_VERSION
from tests.integration.api.client import Manifest, ResourceClient

SAMPLES = Path(__file__).parents[3] / "manifests" / "samples"


def ours() -> list[tuple[str, Manifest]]:
    return [
        (f"{file.relative_to(SAMPLES)}: {document['kind']}", document)
        for file in sorted(SAMPLES.rglob("*.yaml"))
        for document in yaml.safe_load_all(file.read_text(encoding="utf-8"))
        if document and document.get("apiVersion") == API_VERSION
    ]


def test_there_are_samples_of_every_kind() -> None:
    assert {document["kind"] for _, document in ours()} == {"ModelTraining", "ModelDeployment", "RetrainPolicy"}


@pytest.mark.parametrize("sample", [pytest.param(document, id=name) for name, document in ours()])
def test_a_sample_is_accepted(sample: Manifest, resources: ResourceClient) -> None:
    metadata = {"name": sample["metadata"]["name"]}
    assert resources.try_out(sample | {"metadata": metadata})["spec"]
