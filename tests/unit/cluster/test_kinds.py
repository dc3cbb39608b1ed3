from __future__ import annotations

import pytest

from modelcycle.cluster.kinds import JOB, KINDS, MODEL_TRAINING, NAMESPACE, POD, Kind, kind_of


@pytest.mark.parametrize(
    ("kind", "arguments", "path"),
    [
        pytest.param(POD, ("shop", "a"), "/api/v1/namespaces/shop/pods/a", id="an object of the core API"),
        pytest.param(JOB, ("shop",), "/apis/batch/v1/namespaces/shop/jobs", id="a collection"),
        pytest.param(JOB, (), "/apis/batch/v1/jobs", id="all namespaces"),
        pytest.param(
            MODEL_TRAINING,
            ("shop", "a", "status"),
            "/apis/modelcycle.dev/v1alpha1/namespaces/shop/modeltrainings/a/status",
            id="a subresource of our own kind",
        ),
        pytest.param(NAMESPACE, (None, "shop"), "/api/v1/namespaces/shop", id="an object outside of namespaces"),
    ],
)
def test_paths(kind: Kind, arguments: tuple[str | None, ...], path: str) -> None:
    assert kind.path(*arguments) == path


def test_names_are_unique_and_lead_back_to_their_kind() -> None:
    assert all(kind_of(kind.api_version, name) is kind for name, kind in KINDS.items())


@pytest.mark.parametrize(
    ("api_version", "name"),
    [pytest.param("v1", "Node", id="an unknown kind"), pytest.param("batch/v1beta1", "Job", id="another version")],
)
def test_what_the_table_lacks_is_a_bug(api_version: str, name: str) -> None:
    with pytest.raises(KeyError):
        kind_of(api_version, name)
