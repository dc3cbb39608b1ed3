"""Which of several runs, models and versions counts."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from modelcycle.constants import TAG_DUPLICATE_OF
from modelcycle.errors import Unusable
from modelcycle.registry.answers import LoggedModelFields, Run, RunFields, Tag, Tagged, Version
from modelcycle.registry.logged import finished, the_onnx_one
from modelcycle.registry.mlmodel import ModelDescription
from modelcycle.registry.runs import chosen
from modelcycle.registry.versions import first


def run(run_id: str, start: int, *, duplicate: bool = False) -> Run:
    tags = (Tag(key=TAG_DUPLICATE_OF, value="x"),) if duplicate else ()
    info = RunFields(run_id=run_id, experiment_id="1", artifact_uri="mlflow-artifacts:/1/x", start_time=start)
    return Run(info=info, data=Tagged(tags=tags))


@pytest.mark.parametrize(
    ("runs", "keep", "kept", "ended"),
    [
        pytest.param([], None, None, [], id="none"),
        pytest.param([run("a", 1)], None, "a", [], id="one"),
        pytest.param([run("b", 2), run("a", 1), run("c", 3)], None, "a", ["b", "c"], id="the oldest wins"),
        pytest.param([run("b", 1), run("a", 1)], None, "a", ["b"], id="of the same time the lower id"),
        pytest.param([run("b", 2), run("a", 1, duplicate=True)], None, "b", [], id="a known duplicate is out"),
        pytest.param([run("a", 1, duplicate=True)], None, None, [], id="a duplicate whose original was deleted"),
        pytest.param([run("b", 2), run("a", 1)], "b", "b", ["a"], id="the one that pods log to"),
        pytest.param([run("b", 2, duplicate=True), run("a", 1)], "b", "b", ["a"], id="also where it is a duplicate"),
        pytest.param([run("b", 2), run("a", 1)], "c", "a", ["b"], id="the one that pods log to is gone"),
    ],
)
def test_the_oldest_run_counts(runs: list[Run], keep: str | None, kept: str | None, ended: list[str]) -> None:
    one, others = chosen(runs, keep)
    assert (one.info.run_id if one else None) == kept
    assert [other.info.run_id for other in others] == ended


def version(number: int, *, duplicate: bool = False) -> Version:
    tags = [Tag(key=TAG_DUPLICATE_OF, value="1")] if duplicate else []
    return Version(name="m", version=str(number), tags=tuple(tags))


@pytest.mark.parametrize(
    ("versions", "kept", "tagged"),
    [
        pytest.param([], None, [], id="none"),
        pytest.param([version(10), version(9)], "9", ["10"], id="the lowest, by number"),
        pytest.param([version(1), version(2, duplicate=True)], "1", [], id="a known duplicate is out"),
        pytest.param([version(1, duplicate=True)], None, [], id="a duplicate whose original was deleted"),
    ],
)
def test_the_lowest_version_counts(versions: list[Version], kept: str | None, tagged: list[str]) -> None:
    one, others = first(versions)
    assert (one.version if one else None) == kept
    assert [other.version for other in others] == tagged


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MORNING_MS, EVENING_MS = NOON.timestamp() * 1000 - 1, NOON.timestamp() * 1000


def model(name: str, status: str = "LOGGED_MODEL_READY", at: float = MORNING_MS) -> LoggedModelFields:
    return LoggedModelFields(
        model_id=f"m-{name}",
        name=name,
        artifact_uri="mlflow-artifacts:/m",
        status=status,
        creation_timestamp_ms=int(at),
    )


@pytest.mark.parametrize(
    ("models", "since", "names"),
    [
        pytest.param([model("a"), model("b")], None, ["a", "b"], id="all that are whole"),
        pytest.param([model("a"), model("b", "LOGGED_MODEL_PENDING")], None, ["a"], id="an upload broken off is out"),
        pytest.param([model("a"), model("b", at=EVENING_MS)], NOON, ["b"], id="an earlier attempt's is out"),
    ],
)
def test_models_that_were_logged_to_their_end(
    models: list[LoggedModelFields], since: datetime | None, names: list[str]
) -> None:
    assert [one.name for one in finished(models, "run", since)] == names


@pytest.mark.parametrize(
    ("models", "since", "reason", "said"),
    [
        pytest.param([], None, "NoModelLogged", "log one to this run", id="none"),
        pytest.param([model("a", "LOGGED_MODEL_PENDING")], None, "NoModelLogged", "broken off", id="none whole"),
        pytest.param([model("a")], NOON, "NoModelLogged", "earlier attempt", id="none new"),
        pytest.param([model("a")] * 21, None, "SeveralModelsLogged", "more than 20", id="checkpoints of every step"),
    ],
)
def test_models_that_can_not_be_chosen_from(
    models: list[LoggedModelFields], since: datetime | None, reason: str, said: str
) -> None:
    with pytest.raises(Unusable, match=said) as raised:
        finished(models, "run", since)
    assert raised.value.reason == reason


ONNX = ModelDescription(("onnx", "python_function"), "model.onnx", signed=True)
TORCH = ModelDescription(("python_function", "pytorch"), None, signed=True)


def test_the_onnx_model_counts_whatever_autologging_logged_beside_it() -> None:
    assert the_onnx_one({"m-1": TORCH, "m-2": ONNX}, "run") == "m-2"


@pytest.mark.parametrize(
    ("models", "reason", "said"),
    [
        pytest.param({"m-1": ONNX, "m-2": ONNX}, "SeveralModelsLogged", "m-1, m-2", id="two ONNX models"),
        pytest.param({"m-1": TORCH}, "UnsupportedFlavor", "python_function, pytorch", id="no ONNX model"),
    ],
)
def test_not_exactly_one_onnx_model(models: dict[str, ModelDescription], reason: str, said: str) -> None:
    with pytest.raises(Unusable, match=said) as raised:
        the_onnx_one(models, "run")
    assert raised.value.reason == reason
