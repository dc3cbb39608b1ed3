from __future__ import annotations

import threading

import pytest

from e2e.cluster import ClusterError
from e2e.demo.looks import Looks, looking, read_tables

TRAINING = """\
NAME                                       SUCCEEDED   REASON     MODEL      VERSION   GPUS   AGE
modeltraining.modelcycle.dev/hedge-2006    Unknown     Training   desk.oil             0      12s
"""
BOTH = """\
NAME                                       SUCCEEDED   REASON       MODEL      VERSION   GPUS   AGE
modeltraining.modelcycle.dev/hedge-2006    True        Registered   desk.oil   1         0      52s

NAME                                   READY   REASON    MODEL      VERSION   CANDIDATE   STEP   AGE
modeldeployment.modelcycle.dev/hedge   False   Waiting   desk.oil                                3s
"""


def test_tables_are_read_by_their_columns_without_the_age() -> None:
    found = read_tables(BOTH)
    assert found["modeltraining"] == [
        ("NAME", "SUCCEEDED", "REASON", "MODEL", "VERSION", "GPUS"),
        ("modeltraining.modelcycle.dev/hedge-2006", "True", "Registered", "desk.oil", "1", "0"),
    ]
    assert found["modeldeployment"][1] == (
        "modeldeployment.modelcycle.dev/hedge",
        "False",
        "Waiting",
        "desk.oil",
        *[""] * 3,
    )


def test_each_line_is_kept_once_and_what_is_kept_reads_as_kubectl_prints() -> None:
    looks = Looks()
    for text in (TRAINING, TRAINING, BOTH, TRAINING):
        looks.look(text)
    assert [line[2] for line in looks.seen["modeltraining"]] == ["REASON", "Training", "Registered"]
    assert read_tables(looks.render()) == looks.seen
    assert (
        looks.render().splitlines()[1]
        == "modeltraining.modelcycle.dev/hedge-2006   Unknown     Training     desk.oil             0"
    )


def test_nothing_there_yet_is_nothing_seen() -> None:
    looks = Looks()
    looks.look("")
    assert looks.seen == {}


def watched(answers: list[str | ClusterError]) -> Looks:
    """Look until all but the last of the answers were given; the last one is the answer from then on."""
    given = iter(answers[:-1])
    all_but_last = threading.Event()

    def ask() -> str:
        answer = next(given, None)
        if answer is None:
            all_but_last.set()
            answer = answers[-1]
        if isinstance(answer, ClusterError):
            raise answer
        return answer

    with looking(ask) as looks:
        assert all_but_last.wait(10)
    return looks


def test_a_look_that_fails_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("e2e.demo.looks.SECONDS_BETWEEN", 0.001)
    looks = watched([ClusterError("busy"), TRAINING, ClusterError("busy"), BOTH])
    assert [line[2] for line in looks.seen["modeltraining"]] == ["REASON", "Training", "Registered"]


def test_the_last_look_must_succeed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("e2e.demo.looks.SECONDS_BETWEEN", 0.001)
    with pytest.raises(ClusterError, match="gone"):
        watched([TRAINING, ClusterError("gone")])
