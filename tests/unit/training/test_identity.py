"""The digest of the code that ran, and the key: another one exactly when something else runs."""

from __future__ import annotations

from typing import Any

import pytest

from modelcycle import constants as names
from modelcycle.api.v1alpha1.training import KeptCode, TrainingStatus
from modelcycle.core.hashing import sha256
from modelcycle.training.identity import code_digest, key, version_tags
from tests.unit.training.world import World

IMAGE = "registry.example/train@sha256:1"
SPEC: dict[str, Any] = {
    "command": ["python", "train.py"],
    "args": ["--fast"],
    "configMap": "code",
    "env": [
        {"name": "REGION", "configMapKeyRef": {"name": "site", "key": "region"}},
        {"name": "MODE", "value": "a"},
        {"name": "TOKEN", "secretKeyRef": {"name": "warehouse", "key": "token"}},
    ],
}
CODE = {"files": "a" * 64, "variables": "b" * 64}


def code(spec: dict[str, Any] | None = None, image: str | None = IMAGE, kept: dict[str, str] | None = None) -> str:
    training = World(**SPEC | (spec or {})).observed().resource
    status = TrainingStatus.model_validate({"code": CODE | (kept or {}), "imageDigest": image})
    found = code_digest(training, status)
    assert found
    return found


def env(**changes: dict[str, Any]) -> dict[str, Any]:
    return {"env": [one | changes.get(one["name"], {}) for one in SPEC["env"]]}


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"spec": {"command": ["python", "other.py"]}}, id="command"),
        pytest.param({"spec": {"args": ["--slow"]}}, id="arguments"),
        pytest.param({"spec": {"command": ["python"], "args": ["train.py", "--fast"]}}, id="from one to the other"),
        pytest.param({"image": "registry.example/train@sha256:2"}, id="image"),
        pytest.param({"kept": {"files": "c" * 64}}, id="a file of the ConfigMap"),
        pytest.param({"kept": {"variables": "c" * 64}}, id="a variable from a ConfigMap"),
        pytest.param({"kept": {"files": "b" * 64, "variables": "a" * 64}}, id="files and variables exchanged"),
        pytest.param({"spec": env(MODE={"value": "b"})}, id="a variable of the spec"),
        pytest.param({"spec": env(MODE={"name": "MOOD"})}, id="its name"),
    ],
)
def test_what_changes_the_digest(changed: dict[str, Any]) -> None:
    assert code(**changed) != code()


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"spec": {"configMap": "code-7f9d"}}, id="the ConfigMap's name"),
        pytest.param(
            {"spec": env(REGION={"configMapKeyRef": {"name": "site-2", "key": "r"}})}, id="that of a variable's"
        ),
        pytest.param({"spec": {"env": SPEC["env"][::-1]}}, id="the order of the variables"),
        pytest.param({"spec": env(TOKEN={"secretKeyRef": {"name": "other", "key": "token"}})}, id="a Secret"),
        pytest.param({"image": "mirror.example/train@sha256:1"}, id="a mirror of the image"),
        pytest.param({"spec": {"image": "train:2"}}, id="a tag of the same image"),
        pytest.param({"spec": {"parameters": [{"name": "lr", "value": "0.1"}], "seed": 7}}, id="parameters and seed"),
        pytest.param({"spec": {"asOf": "2026-01-01T00:00:00Z"}}, id="asOf"),
        pytest.param({"spec": {"resources": {"cpu": "4"}}}, id="resources"),
    ],
)
def test_what_does_not(changed: dict[str, Any]) -> None:
    assert code(**changed) == code()


def test_without_a_digest_of_the_image_its_name_counts() -> None:
    assert code(image=None) != code({"image": "train:2"}, image=None)


def test_a_training_without_config_maps_has_a_digest_too() -> None:
    training = World(command=["train"]).observed().resource
    assert code_digest(training, TrainingStatus())


@pytest.mark.parametrize("spec", [{"configMap": "code"}, {"env": SPEC["env"][:1]}])
def test_content_that_is_not_known_is_not_guessed(spec: dict[str, Any]) -> None:
    training = World(**spec).observed().resource
    assert code_digest(training, TrainingStatus()) is None
    assert names.TAG_CODE not in dict(version_tags("c1", training, TrainingStatus(key="a" * 64)))


def key_of(spec: dict[str, Any] | None = None, kept: dict[str, str] | None = None) -> str:
    training = World(**SPEC | (spec or {})).observed().resource
    return key("c1", training, KeptCode.model_validate(CODE | (kept or {})))


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"kept": {"files": "c" * 64}}, id="a corrected script under the same name"),
        pytest.param({"kept": {"variables": "c" * 64}}, id="a variable from a ConfigMap"),
        pytest.param({"spec": env(REGION={"name": "PLACE"})}, id="the name of a variable"),
        pytest.param({"spec": env(TOKEN={"secretKeyRef": {"name": "other", "key": "token"}})}, id="another Secret"),
        pytest.param({"spec": {"image": "train:2"}}, id="image"),
        pytest.param({"spec": {"seed": 7}}, id="seed"),
    ],
)
def test_what_makes_it_another_training(changed: dict[str, Any]) -> None:
    assert key_of(**changed) != key_of()


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({}, id="nothing: restored from Git"),
        pytest.param({"spec": {"configMap": "code-7f9d"}}, id="the ConfigMap's name"),
        pytest.param({"spec": env(REGION={"configMapKeyRef": {"name": "s2", "key": "r"}})}, id="that of a variable's"),
        pytest.param({"spec": {"suspend": True, "deadlineSeconds": 90000}}, id="what may be changed"),
    ],
)
def test_what_leaves_it_the_same(changed: dict[str, Any]) -> None:
    assert key_of(**changed) == key_of()


def test_the_key_without_config_maps_stays_what_it_was() -> None:
    training = World(parameters=[{"name": "lr", "value": "0.1"}]).observed().resource
    spec = {"image": "train:1", "register": {"model": "quant.hedge"}, "parameters": [{"name": "lr", "value": "0.1"}]}
    assert key("c1", training, KeptCode()) == sha256(["c1", "quant", "hedge", spec])
