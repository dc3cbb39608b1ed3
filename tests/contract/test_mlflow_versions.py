"""Registration, reading and finding of versions against a real MLflow server, with models that MLflow itself logged."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from modelcycle.constants import (
    TAG_BASELINE_LOSS,
    TAG_DIGEST,
    TAG_DUPLICATE_OF,
    TAG_FILES,
    TAG_KEY,
    TAG_MODEL_ROOT,
    TAG_RUN_ROOT,
)
from modelcycle.errors import NotFound, Unavailable, Unusable
from modelcycle.registry.port import (
    FindRegistered,
    ReadVersion,
    RegisterModel,
    RunInfo,
    SetVersionTags,
    VersionInfo,
)
from tests.contract.conftest import ENDPOINT, Api, Registry
from tests.support.models import BASELINE, log_onnx, log_pickle, resumed_run
from tests.support.proxy import Fault, FaultyProxy

FILES = 3  # MLmodel, model.onnx; baseline.json


@pytest.fixture
async def trained(registry: Registry, mlflow_url: str, unique: str) -> RunInfo:
    """A run that logged one good model with its baseline."""
    run = await registry.run(unique)
    await asyncio.to_thread(log_onnx, mlflow_url, run.run_id, artifacts={"baseline.json": BASELINE})
    return run


def registration(run: RunInfo, unique: str, **more: Any) -> RegisterModel:
    return RegisterModel(ENDPOINT, run.run_id, f"shop.prices.{unique}", ((TAG_KEY, f"key {unique}"),), **more)


async def test_a_model_is_registered_once_with_its_digests(
    registry: Registry, restarted: Registry, api: Api, proxy: FaultyProxy, trained: RunInfo, unique: str
) -> None:
    proxy.api_calls()
    effect = registration(trained, unique)
    version = await registry.carry_out(effect)
    calls = proxy.api_calls()
    files = [call for call in calls if call.startswith("GET mlflow-artifacts/artifacts/")]
    assert len(files) == len(set(files)) == FILES, "each file is read once"
    assert [call for call in calls if call not in files] == [
        "GET model-versions/search",
        "POST logged-models/search",
        "GET mlflow-artifacts/artifacts",
        "POST model-versions/create",
        "POST registered-models/create",
        "POST model-versions/create",
    ]
    assert await registry.carry_out(effect) == version
    assert proxy.api_calls() == ["GET model-versions/search"]
    assert await restarted.carry_out(effect) == version

    (stored,) = await api.versions(effect.model)
    tags = {tag["key"]: tag["value"] for tag in stored["tags"]}
    assert stored["run_id"] == trained.run_id
    assert stored["source"].startswith("models:/m-")
    assert set(tags) == {TAG_KEY, TAG_FILES, TAG_DIGEST, TAG_MODEL_ROOT, TAG_RUN_ROOT, TAG_BASELINE_LOSS}
    assert tags[TAG_BASELINE_LOSS] == "1.25"
    assert version.tag(TAG_BASELINE_LOSS) == "1.25"
    assert version.tag(TAG_FILES) is None, "outcomes stay small"


async def test_the_digests_are_those_of_the_files_at_the_two_roots(
    registry: Registry, mlflow_url: str, trained: RunInfo, unique: str
) -> None:
    version: VersionInfo = await registry.carry_out(registration(trained, unique))
    assert [file.path for file in version.files] == [
        "model/MLmodel",
        "model/model.onnx",
        "modelcycle/baseline.json",
    ]
    async with aiohttp.ClientSession() as session:
        for file in version.files:
            content = await _content(session, mlflow_url, version, file.path)
            assert (len(content), hashlib.sha256(content).hexdigest()) == (file.size, file.sha256)


async def _content(session: aiohttp.ClientSession, url: str, version: VersionInfo, path: str) -> bytes:
    if path.startswith("model/"):
        uri = f"{version.model_root}/{path.removeprefix('model/')}"
    else:
        uri = f"{version.run_root}/{path}"
    place = uri.removeprefix("mlflow-artifacts:/")
    async with session.get(f"{url}/api/2.0/mlflow-artifacts/artifacts/{place}") as answer:
        assert answer.status == 200
        return await answer.read()


async def test_another_process_asks_once_more_where_the_run_is(
    registry: Registry, restarted: Registry, proxy: FaultyProxy, mlflow_url: str, trained: RunInfo, unique: str
) -> None:
    first: VersionInfo = await registry.carry_out(registration(trained, unique))
    second = await registry.run(f"{unique}-2")
    await asyncio.to_thread(log_onnx, mlflow_url, second.run_id)
    proxy.api_calls()
    effect = RegisterModel(ENDPOINT, second.run_id, first.model, ((TAG_KEY, "another"),))
    version = await restarted.carry_out(effect)
    calls = [call for call in proxy.api_calls() if not call.startswith("GET mlflow-artifacts/artifacts/")]
    assert calls == [
        "GET model-versions/search",
        "GET runs/get",
        "POST logged-models/search",
        "GET mlflow-artifacts/artifacts",
        "POST model-versions/create",
    ]
    assert version.version == "2"
    assert version.tag(TAG_BASELINE_LOSS) is None
    assert version.run_root is not None, "gate evidence may come there later"


@pytest.mark.parametrize("fault", [Fault.CUT, Fault.SILENT])
async def test_a_version_whose_answer_got_lost_is_found_again(
    registry: Registry, api: Api, proxy: FaultyProxy, trained: RunInfo, unique: str, fault: Fault, impatient: None
) -> None:
    effect = registration(trained, unique)
    await api.post("registered-models/create", name=effect.model)
    proxy.fail(fault, "model-versions/create")
    with pytest.raises(Unavailable):
        await registry.carry_out(effect)
    proxy.heal()
    version = await registry.carry_out(effect)
    assert [one["version"] for one in await api.versions(effect.model)] == [version.version] == ["1"]


@pytest.mark.parametrize(
    "path", ["model-versions/search", "logged-models/search", "mlflow-artifacts/artifacts", "model.onnx"]
)
@pytest.mark.parametrize("fault", [Fault.ERROR_500, Fault.CUT])
async def test_wherever_it_fails_nothing_is_registered_and_later_all_is(
    registry: Registry, api: Api, proxy: FaultyProxy, trained: RunInfo, unique: str, path: str, fault: Fault
) -> None:
    effect = registration(trained, unique)
    proxy.fail(fault, path)
    with pytest.raises(Unavailable):
        await registry.carry_out(effect)
    assert await api.versions(effect.model) == []
    proxy.heal()
    assert len((await registry.carry_out(effect)).files) == FILES


@pytest.mark.parametrize("path", ["model.onnx", "MLmodel", "baseline.json"])
async def test_a_file_that_something_on_the_way_replaces_is_noticed(
    registry: Registry, api: Api, proxy: FaultyProxy, trained: RunInfo, unique: str, path: str
) -> None:
    proxy.fail(Fault.HTML, path)
    with pytest.raises(Unavailable, match="text/html came instead of the file"):
        await registry.carry_out(registration(trained, unique))


async def test_the_lowest_of_two_versions_wins_and_the_other_is_tagged(
    registry: Registry, api: Api, proxy: FaultyProxy, trained: RunInfo, unique: str
) -> None:
    effect = registration(trained, unique)
    version = await registry.carry_out(effect)
    (stored,) = await api.versions(effect.model)
    again = {"name": effect.model, "source": stored["source"], "run_id": trained.run_id, "tags": stored["tags"]}
    await api.post("model-versions/create", **again, model_id=stored["source"].removeprefix("models:/"))
    proxy.api_calls()
    assert await registry.carry_out(effect) == version
    assert proxy.api_calls() == ["GET model-versions/search", "POST model-versions/set-tag"]
    _, other = await api.versions(effect.model)
    assert {"key": TAG_DUPLICATE_OF, "value": "1"} in other["tags"]
    assert await registry.carry_out(effect) == version
    assert proxy.api_calls() == ["GET model-versions/search"]
    assert await registry.carry_out(FindRegistered(ENDPOINT, effect.model, f"key {unique}")) == version


async def test_the_version_of_a_training_that_was_deleted_and_made_again_counts(
    registry: Registry,
    restarted: Registry,
    api: Api,
    proxy: FaultyProxy,
    mlflow_url: str,
    trained: RunInfo,
    unique: str,
) -> None:
    effect = registration(trained, unique)
    second = await restarted.run(f"{unique}-again")
    assert await restarted.carry_out(FindRegistered(ENDPOINT, effect.model, effect.key)) is None
    version = await registry.carry_out(effect)
    await asyncio.to_thread(log_onnx, mlflow_url, second.run_id)
    assert await restarted.carry_out(registration(second, unique)) == version
    assert len(await api.versions(effect.model)) == 1


async def test_a_registered_model_that_was_deleted_and_made_again_counts_anew(
    registry: Registry, api: Api, proxy: FaultyProxy, mlflow_url: str, trained: RunInfo, unique: str, impatient: None
) -> None:
    effect = registration(trained, unique)
    for number in range(3):
        tags = ((TAG_KEY, f"{unique}-{number}"),)
        await registry.carry_out(RegisterModel(ENDPOINT, trained.run_id, effect.model, tags))
    async with api.session.delete(
        f"{api.url}/api/2.0/mlflow/registered-models/delete", json={"name": effect.model}
    ) as answer:
        answer.raise_for_status()
    await api.post("registered-models/create", name=effect.model)
    proxy.fail(Fault.CUT, "model-versions/create")
    with pytest.raises(Unavailable):
        await registry.carry_out(effect)
    proxy.heal()
    assert (await registry.carry_out(effect)).version == "1"
    assert len(await api.versions(effect.model)) == 1
    other = RegisterModel(ENDPOINT, trained.run_id, effect.model, ((TAG_KEY, f"{unique}-0"),))
    assert (await registry.carry_out(other)).version == "2"
    assert (await registry.carry_out(other)).version == "2"


@pytest.mark.parametrize("pages", [1, 4])
async def test_a_model_with_many_versions(
    registry: Registry,
    api: Api,
    proxy: FaultyProxy,
    monkeypatch: pytest.MonkeyPatch,
    trained: RunInfo,
    unique: str,
    pages: int,
) -> None:
    monkeypatch.setattr("modelcycle.registry.keys.PAGE", 2)
    monkeypatch.setattr("modelcycle.registry.keys.PAGES", pages)
    effect = registration(trained, unique)
    await api.post("registered-models/create", name=effect.model)
    found = await api.post(
        "logged-models/search", experiment_ids=[trained.experiment_id], filter=f"source_run_id = '{trained.run_id}'"
    )
    model_id = found["models"][0]["info"]["model_id"]
    body = {"name": effect.model, "source": f"models:/{model_id}", "run_id": trained.run_id, "model_id": model_id}
    for number in range(5):
        await api.post("model-versions/create", **body, tags=[{"key": TAG_KEY, "value": f"{unique}-{number}"}])
    proxy.api_calls()
    for key in ("none", "nobody's"):
        assert await registry.carry_out(FindRegistered(ENDPOINT, effect.model, key)) is None
    assert proxy.api_calls() == ["GET model-versions/search"] * (3 if pages == 1 else 4)
    there = [await registry.carry_out(FindRegistered(ENDPOINT, effect.model, f"{unique}-{n}")) for n in range(5)]
    assert [version.version for version in there] == ["1", "2", "3", "4", "5"]
    assert (await registry.carry_out(effect)).version == "6"
    assert (await registry.carry_out(effect)).version == "6"


async def test_a_version_that_somebody_deleted_is_registered_again(
    registry: Registry, api: Api, trained: RunInfo, unique: str
) -> None:
    effect = registration(trained, unique)
    await registry.carry_out(effect)
    async with api.session.delete(
        f"{api.url}/api/2.0/mlflow/model-versions/delete", json={"name": effect.model, "version": "1"}
    ) as answer:
        answer.raise_for_status()
    assert await registry.carry_out(FindRegistered(ENDPOINT, effect.model, effect.key)) is None
    assert (await registry.carry_out(effect)).version == "2"


async def test_weights_that_lie_beside_the_graph_are_digested(registry: Registry, mlflow_url: str, unique: str) -> None:
    run = await registry.run(unique)
    await asyncio.to_thread(log_onnx, mlflow_url, run.run_id, weights=(0.5,) * 1000)
    version: VersionInfo = await registry.carry_out(registration(run, unique))
    mlmodel, graph, weights = sorted(version.files, key=lambda file: (file.path != "model/MLmodel", file.size))
    assert (mlmodel.path, graph.path) == ("model/MLmodel", "model/model.onnx")
    assert weights.path.startswith("model/")
    assert weights.size >= 4000
    async with aiohttp.ClientSession() as session:
        content = await _content(session, mlflow_url, version, weights.path)
    assert hashlib.sha256(content).hexdigest() == weights.sha256


async def test_an_mlmodel_that_names_a_file_elsewhere(
    registry: Registry, api: Api, trained: RunInfo, unique: str
) -> None:
    found = await api.post(
        "logged-models/search", experiment_ids=[trained.experiment_id], filter=f"source_run_id = '{trained.run_id}'"
    )
    root = found["models"][0]["info"]["artifact_uri"].removeprefix("mlflow-artifacts:/")
    content = (await api.download(f"{root}/MLmodel")).replace(b"data: model.onnx", b"data: ../../secret.onnx")
    await api.upload(f"{root}/MLmodel", content)
    error = await _refused(registry, trained, unique)
    assert error.reason == "ModelMalformed"
    await api.upload(f"{root}/MLmodel", content.replace(b"../../secret", b"missing"))
    error = await _refused(registry, trained, unique)
    assert (error.reason, "has no file missing.onnx" in str(error)) == ("ModelMalformed", True)


async def test_models_of_several_runs_are_searched_for_at_once(
    registry: Registry, api: Api, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch, mlflow_url: str, unique: str
) -> None:
    runs = [await registry.run(f"{unique}-{number}") for number in range(3)]
    for run in runs[:2]:
        await asyncio.to_thread(log_onnx, mlflow_url, run.run_id)
    effects = [
        RegisterModel(ENDPOINT, run.run_id, f"shop.{unique}", ((TAG_KEY, f"{unique}-{number}"),))
        for number, run in enumerate(runs)
    ]
    proxy.api_calls()
    results = await asyncio.gather(*map(registry.carry_out, effects), return_exceptions=True)
    assert proxy.api_calls().count("POST logged-models/search") == 1
    assert [getattr(one, "run_id", None) for one in results] == [runs[0].run_id, runs[1].run_id, None]
    assert isinstance(results[2], Unusable)
    assert results[2].reason == "NoModelLogged"


async def test_runs_that_logged_more_models_than_a_page_are_searched_one_by_one(
    registry: Registry, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch, trained: RunInfo, unique: str
) -> None:
    monkeypatch.setattr("modelcycle.registry.logged.PAGE", 1)
    other = await registry.run(f"{unique}-2")
    for number in range(2):
        await asyncio.to_thread(log_onnx, proxy.target, other.run_id, name=f"m{number}")
    proxy.api_calls()
    # Of one registered model, so that both come to their runs at the same time, after one search for their keys.
    first = registration(trained, unique)
    second = RegisterModel(ENDPOINT, other.run_id, first.model, ((TAG_KEY, f"{unique}-2"),))
    results = await asyncio.gather(*map(registry.carry_out, (first, second)), return_exceptions=True)
    assert proxy.api_calls().count("POST logged-models/search") == 3
    assert isinstance(results[0], VersionInfo)
    assert isinstance(results[1], Unusable)
    assert results[1].reason == "SeveralModelsLogged"


async def test_a_version_that_a_person_made_of_the_same_run_is_theirs(
    registry: Registry, api: Api, trained: RunInfo, unique: str
) -> None:
    effect = registration(trained, unique)
    await api.post("registered-models/create", name=effect.model)
    found = await api.post(
        "logged-models/search", experiment_ids=[trained.experiment_id], filter=f"source_run_id = '{trained.run_id}'"
    )
    model_id = found["models"][0]["info"]["model_id"]
    by_hand = {"name": effect.model, "source": f"models:/{model_id}", "run_id": trained.run_id, "model_id": model_id}
    await api.post("model-versions/create", **by_hand)
    assert (await registry.carry_out(effect)).version == "2"
    assert "tags" not in (await api.versions(effect.model))[0]


# --- what can't be registered ----------------------------------------------------------------------------------------
async def _refused(registry: Registry, run: RunInfo, unique: str, **more: Any) -> Unusable:
    with pytest.raises(Unusable) as raised:
        await registry.carry_out(registration(run, unique, **more))
    return raised.value


async def test_a_run_without_a_model(registry: Registry, api: Api, unique: str) -> None:
    error = await _refused(registry, await registry.run(unique), unique)
    assert error.reason == "NoModelLogged"
    assert "mlflow.onnx.log_model" in str(error)
    assert "RESOURCE_DOES_NOT_EXIST" in str(await api.get("registered-models/get", name=f"shop.prices.{unique}"))


async def test_a_model_whose_upload_was_broken_off(registry: Registry, api: Api, unique: str) -> None:
    run = await registry.run(unique)
    await api.post("logged-models", experiment_id=run.experiment_id, name="model", source_run_id=run.run_id)
    error = await _refused(registry, run, unique)
    assert error.reason == "NoModelLogged"
    assert "broken off" in str(error)


async def test_a_pickle(registry: Registry, mlflow_url: str, unique: str) -> None:
    run = await registry.run(unique)
    await asyncio.to_thread(log_pickle, mlflow_url, run.run_id)
    error = await _refused(registry, run, unique)
    assert error.reason == "UnsupportedFlavor"
    assert "python_function, sklearn" in str(error)


async def test_a_pickle_beside_an_onnx_model_does_no_harm(
    registry: Registry, mlflow_url: str, trained: RunInfo, unique: str
) -> None:
    await asyncio.to_thread(log_pickle, mlflow_url, trained.run_id)
    assert len((await registry.carry_out(registration(trained, unique))).files) == FILES


async def test_a_model_without_signature(registry: Registry, mlflow_url: str, unique: str) -> None:
    run = await registry.run(unique)
    await asyncio.to_thread(log_onnx, mlflow_url, run.run_id, signed=False)
    assert (await _refused(registry, run, unique)).reason == "SignatureMissing"


async def test_two_models_and_one_of_them_of_an_earlier_attempt(
    registry: Registry, mlflow_url: str, trained: RunInfo, unique: str
) -> None:
    between = datetime.now(UTC)
    await asyncio.to_thread(log_onnx, mlflow_url, trained.run_id, weights=(3.0, 4.0))
    error = await _refused(registry, trained, unique)
    assert error.reason == "SeveralModelsLogged"
    assert str(error).count("m-") == 2
    later = await _refused(registry, trained, unique, logged_since=between + timedelta(hours=1))
    assert later.reason == "NoModelLogged"
    version: VersionInfo = await registry.carry_out(registration(trained, unique, logged_since=between))
    assert len(version.files) == FILES


async def test_too_many_files(registry: Registry, mlflow_url: str, unique: str) -> None:
    run = await registry.run(unique)
    many: dict[str, Any] = {f"folder/part-{number}.json": {} for number in range(40)}
    await asyncio.to_thread(log_onnx, mlflow_url, run.run_id, artifacts=many)
    error = await _refused(registry, run, unique)
    assert error.reason == "TooManyFiles"


async def test_folders_and_odd_names(registry: Registry, mlflow_url: str, unique: str) -> None:
    run = await registry.run(unique)
    odd = {"deep/er/a +&=%.json": {"a": 1}, "deep/x.json": {}}
    await asyncio.to_thread(log_onnx, mlflow_url, run.run_id, artifacts=odd)
    version: VersionInfo = await registry.carry_out(registration(run, unique))
    assert "modelcycle/deep/er/a +&=%.json" in {file.path for file in version.files}
    assert await registry.carry_out(ReadVersion(ENDPOINT, version.model, version.version)) == version
    async with aiohttp.ClientSession() as session:
        assert await _content(session, mlflow_url, version, "modelcycle/deep/x.json") == b"{}"


async def test_a_large_file_is_hashed_as_it_comes(registry: Registry, mlflow_url: str, unique: str) -> None:
    run = await registry.run(unique)
    large = {"text": "größe" * 1_000_000}
    await asyncio.to_thread(log_onnx, mlflow_url, run.run_id, artifacts={"large.json": large})
    version: VersionInfo = await registry.carry_out(registration(run, unique))
    recorded = next(file for file in version.files if file.path == "modelcycle/large.json")
    async with aiohttp.ClientSession() as session:
        content = await _content(session, mlflow_url, version, recorded.path)
    assert recorded.size == len(content) > 5_000_000
    assert recorded.sha256 == hashlib.sha256(content).hexdigest()


async def test_a_file_name_that_a_status_could_not_hold(registry: Registry, mlflow_url: str, unique: str) -> None:
    run = await registry.run(unique)
    await asyncio.to_thread(log_onnx, mlflow_url, run.run_id, artifacts={"größe.json": {}})
    error = await _refused(registry, run, unique)
    assert error.reason == "ModelMalformed"
    assert str(error).isascii()


async def test_a_baseline_that_is_none(registry: Registry, mlflow_url: str, unique: str) -> None:
    run = await registry.run(unique)
    await asyncio.to_thread(log_onnx, mlflow_url, run.run_id, artifacts={"baseline.json": ["no", "baseline"]})
    error = await _refused(registry, run, unique)
    assert error.reason == "ModelMalformed"
    assert "baseline.json" in str(error)


# --- reading, finding, tagging ---------------------------------------------------------------------------------------
async def test_a_recorded_version_is_read_with_one_call(
    registry: Registry, restarted: Registry, proxy: FaultyProxy, trained: RunInfo, unique: str
) -> None:
    version = await registry.carry_out(registration(trained, unique))
    proxy.api_calls()
    assert await restarted.carry_out(ReadVersion(ENDPOINT, version.model, version.version)) == version
    assert proxy.api_calls() == ["GET model-versions/get"]


@pytest.mark.parametrize("source", ["logged model", "another version", "folder of the run", "artifact location"])
async def test_a_version_that_somebody_else_registered_is_digested_now(
    registry: Registry, restarted: Registry, api: Api, mlflow_url: str, trained: RunInfo, unique: str, source: str
) -> None:
    ours: VersionInfo = await registry.carry_out(registration(trained, unique))
    (stored,) = await api.versions(ours.model)
    name = f"by-hand.{unique}"
    await api.post("registered-models/create", name=name)
    body: dict[str, Any] = {"name": name, "run_id": trained.run_id}
    if source == "logged model":
        body |= {"source": stored["source"], "model_id": stored["source"].removeprefix("models:/")}
    elif source == "another version":
        body |= {"source": f"models:/{ours.model}/{ours.version}"}
    elif source == "artifact location":
        body |= {"source": ours.model_root, "model_id": stored["source"].removeprefix("models:/")}
    else:
        await asyncio.to_thread(_copied_below_the_run, mlflow_url, trained.run_id)
        body |= {"source": f"runs:/{trained.run_id}/copied"}
    created = await api.post("model-versions/create", **body)
    assert "model_version" in created, created
    read: VersionInfo = await restarted.carry_out(ReadVersion(ENDPOINT, name, "1"))
    if source == "folder of the run":
        assert read.model_root == f"{trained.artifact_uri}/copied"
        assert len(read.files) == FILES
    else:
        assert (read.files, read.digest, read.model_root) == (ours.files, ours.digest, ours.model_root)
    assert read.run_root == trained.artifact_uri
    assert read.tag(TAG_BASELINE_LOSS) == "1.25"


def _copied_below_the_run(url: str, run_id: str) -> None:
    """As MLflow 2 did: the model's folder among the run's artifacts."""
    import tempfile

    from tests.support.models import linear_model, signature

    with resumed_run(url, run_id) as mlflow, tempfile.TemporaryDirectory() as folder:
        mlflow.onnx.save_model(linear_model(), f"{folder}/copied", signature=signature((1.0, 2.0)))
        mlflow.log_artifacts(f"{folder}/copied", "copied")


async def test_a_version_that_does_not_exist(registry: Registry, trained: RunInfo, unique: str) -> None:
    version = await registry.carry_out(registration(trained, unique))
    for model, number in ((version.model, "77"), (f"nothing.{unique}", "1")):
        with pytest.raises(NotFound, match="not found"):
            await registry.carry_out(ReadVersion(ENDPOINT, model, number))


async def test_a_version_by_hand_that_is_no_onnx(registry: Registry, api: Api, mlflow_url: str, unique: str) -> None:
    run = await registry.run(unique)
    await asyncio.to_thread(log_pickle, mlflow_url, run.run_id)
    found = await api.post(
        "logged-models/search", experiment_ids=[run.experiment_id], filter=f"source_run_id = '{run.run_id}'"
    )
    model_id = found["models"][0]["info"]["model_id"]
    await api.post("registered-models/create", name=unique)
    await api.post("model-versions/create", name=unique, source=f"models:/{model_id}", model_id=model_id)
    with pytest.raises(Unusable) as raised:
        await registry.carry_out(ReadVersion(ENDPOINT, unique, "1"))
    assert raised.value.reason == "UnsupportedFlavor"


async def test_a_version_whose_run_was_deleted_is_still_read(
    registry: Registry, restarted: Registry, trained: RunInfo, unique: str, api: Api
) -> None:
    version = await registry.carry_out(registration(trained, unique))
    await api.post("runs/delete", run_id=trained.run_id)
    assert await restarted.carry_out(ReadVersion(ENDPOINT, version.model, "1")) == version


async def test_a_version_by_hand_whose_run_was_deleted_for_good(
    registry: Registry, restarted: Registry, api: Api, proxy: FaultyProxy, trained: RunInfo, unique: str
) -> None:
    ours: VersionInfo = await registry.carry_out(registration(trained, unique))
    await api.post("registered-models/create", name=unique)
    await api.post("model-versions/create", name=unique, source=f"models:/{ours.model}/1")
    proxy.fail(Fault.GONE, "runs/get")
    read: VersionInfo = await restarted.carry_out(ReadVersion(ENDPOINT, unique, "1"))
    assert read.run_root is None
    assert read.files == tuple(file for file in ours.files if file.path.startswith("model/"))


@pytest.mark.parametrize("tag", [TAG_FILES, TAG_DIGEST])
async def test_tags_that_somebody_changed_are_not_believed(
    registry: Registry, trained: RunInfo, unique: str, tag: str
) -> None:
    version = await registry.carry_out(registration(trained, unique))
    await registry.carry_out(SetVersionTags(ENDPOINT, version.model, "1", ((tag, "[[1]]"),)))
    with pytest.raises(Unusable, match="delete") as raised:
        await registry.carry_out(ReadVersion(ENDPOINT, version.model, "1"))
    assert raised.value.reason == "ModelMalformed"


async def test_tags_are_set_twice_without_harm(
    registry: Registry, proxy: FaultyProxy, api: Api, trained: RunInfo, unique: str
) -> None:
    version = await registry.carry_out(registration(trained, unique))
    effect = SetVersionTags(ENDPOINT, version.model, "1", (("modelcycle.dev/gate", "Passed"), ("note", "größer")))
    proxy.api_calls()
    for _ in range(2):
        await registry.carry_out(effect)
        assert proxy.api_calls() == ["POST model-versions/set-tag"] * 2
    (stored,) = await api.versions(version.model)
    assert {"key": "note", "value": "größer"} in stored["tags"]
    with pytest.raises(NotFound):
        await registry.carry_out(SetVersionTags(ENDPOINT, version.model, "9", (("a", "b"),)))


async def test_finding_by_key(registry: Registry, proxy: FaultyProxy, trained: RunInfo, unique: str) -> None:
    version = await registry.carry_out(registration(trained, unique))
    proxy.api_calls()
    assert await registry.carry_out(FindRegistered(ENDPOINT, version.model, f"key {unique}")) == version
    assert proxy.api_calls() == ["GET model-versions/search"]
    assert await registry.carry_out(FindRegistered(ENDPOINT, version.model, "another key")) is None
    assert await registry.carry_out(FindRegistered(ENDPOINT, "no.such.model", f"key {unique}")) is None
