"""What goes into requests, and what is accepted from answers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelcycle.errors import Refused, Unavailable, Unusable
from modelcycle.outside import HttpAnswer, failure
from modelcycle.registry.answers import Answer, FileFields, Nothing, RunsFound, VersionFound, VersionsFound
from modelcycle.registry.artifacts import MAX_PATH, path_below, store_path
from modelcycle.registry.client import literal
from modelcycle.registry.poller import PAGE, PAGE_CHARACTERS, pages


@pytest.mark.parametrize(
    ("text", "quoted"), [("plain", "'plain'"), ("it's", '"it\'s"'), ('say "x"', "'say \"x\"'"), ("", "''")]
)
def test_literals_of_the_filter_language(text: str, quoted: str) -> None:
    assert literal(text) == quoted


def test_both_quotes_can_not_be_said() -> None:
    with pytest.raises(Refused, match="both kinds of quotes"):
        literal("'\"")


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("mlflow-artifacts:/1/models/m-1/artifacts", "1/models/m-1/artifacts"),
        ("mlflow-artifacts:/1/x/", "1/x"),
    ],
)
def test_places_behind_the_server(uri: str, path: str) -> None:
    assert store_path(uri) == path


@pytest.mark.parametrize(
    "uri",
    ["s3://bucket/x", "/local/x", "file:///x", "mlflow-artifacts://elsewhere/1/x", "mlflow-artifacts:/", "", "dbfs:/x"],
)
def test_places_that_only_keys_can_reach(uri: str) -> None:
    with pytest.raises(Unusable) as raised:
        store_path(uri)
    assert raised.value.reason == "ArtifactsNotProxied"


@pytest.mark.parametrize(
    ("folder", "name", "path"), [("", "MLmodel", "MLmodel"), ("a/b", "c d.json", "a/b/c d.json"), ("", "..x", "..x")]
)
def test_file_names(folder: str, name: str, path: str) -> None:
    assert path_below(folder, FileFields(path=name)) == path


@pytest.mark.parametrize(
    "name", ["..", "../x", "a/../b", ".", "", "a//b", "a\n", "größe", "x" * (MAX_PATH + 1), "\x00"]
)
def test_file_names_that_are_not_followed(name: str) -> None:
    with pytest.raises(Unusable) as raised:
        path_below("folder", FileFields(path=name))
    assert raised.value.reason == "ModelMalformed"


@pytest.mark.parametrize(
    ("expected", "payload"),
    [
        pytest.param(RunsFound, {}, id="a search that found nothing"),
        pytest.param(RunsFound, {"runs": []}, id="explicitly nothing"),
        pytest.param(Nothing, {}, id="a change"),
        pytest.param(VersionsFound, {"model_versions": [{"name": "m", "version": "1", "new": 7}]}, id="a new field"),
    ],
)
def test_answers(expected: type[Answer], payload: Any) -> None:
    assert expected.parsed(payload) is not None


@pytest.mark.parametrize(
    ("expected", "payload"),
    [
        pytest.param(RunsFound, {"hello": 1}, id="JSON of somebody else is not an empty search"),
        pytest.param(RunsFound, [], id="a list"),
        pytest.param(RunsFound, None, id="null, or no JSON"),
        pytest.param(RunsFound, {"runs": [{}]}, id="a run without fields"),
        pytest.param(VersionFound, {}, id="no version"),
        pytest.param(VersionFound, {"model_version": {"name": "m"}}, id="a version without number"),
        pytest.param(Nothing, {"error": "x"}, id="a change that says something"),
    ],
)
def test_answers_that_are_none(expected: type[Answer], payload: Any) -> None:
    assert expected.parsed(payload) is None


@given(st.lists(st.text("abc.-", min_size=1, max_size=200), unique=True, max_size=300))
def test_pages_hold_every_name_once_and_fit(names: list[str]) -> None:
    cut = list(pages(names))
    assert [name for page in cut for name in page] == names
    assert all(0 < len(page) <= PAGE and sum(map(len, page)) <= PAGE_CHARACTERS for page in cut)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *[(status, Refused) for status in (400, 401, 403, 405, 413, 422)],
        *[(status, Unavailable) for status in (404, 408, 409, 410, 429, 500, 502, 503, 504, 201, 204)],
    ],
)
def test_failures_by_status(status: int, kind: type[Exception]) -> None:
    error = failure(HttpAnswer("endpoint 'x': GET y", status, b"\xff\x00<html>" + b"z" * 10_000))
    assert isinstance(error, kind)
    assert str(error).startswith(f"endpoint 'x': GET y: {status}: ")
    assert len(str(error)) < 400
    assert str(error).isprintable()
